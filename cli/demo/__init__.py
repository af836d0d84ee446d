"""The demo: real people's film ratings, replayed as a stream of decisions through the public HTTP API."""
