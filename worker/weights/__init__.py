"""Weights that come from the model hub: the hub's files, and downloads that others can watch."""
