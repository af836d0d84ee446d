"""What a figure is worth: intervals, and the value of a policy on decisions that another one made."""
