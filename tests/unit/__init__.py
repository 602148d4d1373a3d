"""Code without a server."""
