"""Shared by REST and the workers: jobs, options, reports, the queue, the store, errors, settings."""
