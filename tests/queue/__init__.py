"""The queue on a real Redis-protocol server."""
