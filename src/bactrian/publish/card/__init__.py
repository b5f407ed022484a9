"""Cards: what is known of an adapter or a model, and how it is told. Nothing is invented."""
