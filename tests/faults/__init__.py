"""Real processes and servers that die, hang or fall silent."""
