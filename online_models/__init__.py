"""Reward models (River estimators), exploration policies and the snapshots deciders score from."""
