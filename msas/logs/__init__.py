"""Logging, and the command that shows the log lines of all services."""
