"""`python -m msas.doctor`: checks Redis, the store, the workers, the clocks and the settings."""
