"""GGUF files for llama.cpp: base with adapter, or the adapter alone, proved where it can be."""
