"""The client package, the command `msas` and the sample scripts."""
