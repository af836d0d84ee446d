"""What experiments brought, for people: read from an installation, and told in a terminal or on a page."""
