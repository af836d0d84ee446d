"""One decision made again: from its record, and by the model as it was then."""
