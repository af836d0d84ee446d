"""Seeded benchmarks; each prints one JSON object last."""
