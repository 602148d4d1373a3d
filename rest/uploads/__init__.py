"""How a song comes in: read from the socket to disk, never whole in memory, and examined by a child process."""
