"""Why somebody saw what they saw: a decision taken apart, in numbers and in plain words."""
