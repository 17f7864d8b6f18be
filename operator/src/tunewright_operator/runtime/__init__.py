"""What the loops run on: wake-ups, the runner, leadership, probes, metrics, logging."""
