"""The domain, pure: visitor state and its fold, decisions, rewards. No I/O, no clock, no global randomness."""
