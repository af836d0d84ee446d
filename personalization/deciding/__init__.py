"""From a request and a visitor's state to the content to show."""
