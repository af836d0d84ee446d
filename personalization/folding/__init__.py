"""From the log of a visitor to their state, their outcomes and examples."""
