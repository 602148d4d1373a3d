"""The routes: what each call of the API does, and the schema of its answer."""
