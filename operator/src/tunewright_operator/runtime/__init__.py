"""What runs the loops: wake-ups, the runner, leadership, logging."""
