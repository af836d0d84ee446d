"""Conversion (lead-score) models: how likely is this visitor to buy within the horizon."""
