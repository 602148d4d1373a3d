"""A mix of a song's stems, made while it is downloaded. One process mixes: only that one imports numpy and encoders."""
