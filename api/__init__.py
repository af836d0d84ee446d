"""The HTTP edge: the collector, the decider, health and metrics."""
