"""How gunicorn runs the service: its settings, its gevent worker, and its answer to malformed HTTP."""
