"""Reward models, conversion models, exploration policies, and the snapshots deciders score from."""
