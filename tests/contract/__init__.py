"""What must not change, and the rules of the code base."""
