"""What happened to one visitor, and what became of one request, from what is recorded."""
