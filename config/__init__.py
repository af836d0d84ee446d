"""Settings from the environment and the catalog: its loader, its checks, the shipped example shop."""
