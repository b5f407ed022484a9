"""English instructions in, evaluated multilingual LoRA adapters out."""

__version__ = "0.1.0"
