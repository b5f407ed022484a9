"""Weights: bases, adapters, prompts, scoring, generation. Torch lives here and in train/."""
