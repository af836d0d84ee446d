"""Exploration policies: pure functions from what is estimated of the arms to their probabilities."""
