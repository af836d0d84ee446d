"""What can happen to a visitor, and what is logged of it."""
