"""Tasks, the engine that scores them, metrics, comparisons and the report."""
