"""Adapters put into the weights of their base: what changes, in what proportion, and written where.

``merged_weights`` gives base and adapters as one set of tensors, each computed when it is asked
for; ``write_merged`` makes a folder of it that transformers, vLLM and llama.cpp's tools open.
"""

from bactrian.publish.merge.folder import write_merged
from bactrian.publish.merge.merged import MergedWeights, merged_weights
from bactrian.publish.merge.mix import METHODS, Mix

__all__ = ["METHODS", "MergedWeights", "Mix", "merged_weights", "write_merged"]
