"""The HTTP API, through a real port."""
