"""Callbacks: HTTP requests that tell callers that a job has ended, and never reach the cluster's own network."""
