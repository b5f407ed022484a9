"""Reads collections of instructions: any container, any shape, as a stream of examples.

``records`` and its neighbours know containers (JSON, JSONL, CSV, Parquet, the Hub), ``shape`` and
``shapes/`` know what a row means, ``identify`` tells languages, ``collection`` puts them together.
"""
