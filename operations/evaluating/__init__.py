"""Off-policy evaluation: what another policy would have brought on the decisions that were logged."""
