"""The page's player: what is heard, and its controls."""
