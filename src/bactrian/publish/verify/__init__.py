"""Looks at an adapter, a model or a GGUF file of anybody's, and says all that it finds."""
