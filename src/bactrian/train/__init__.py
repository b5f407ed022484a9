"""LoRA training: prepare, plan, loss and a Trainer, each a file with its own idea."""
