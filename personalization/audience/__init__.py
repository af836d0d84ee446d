"""Who a visitor is at this moment: profile, consent, variables, segments, features, scores."""
