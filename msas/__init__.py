"""What REST and the workers agree on: jobs, options, the queue, the store, errors, settings."""
