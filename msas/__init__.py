"""What the REST front door and the workers agree on: jobs, the queue, the store."""
