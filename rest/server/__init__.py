"""How gunicorn runs the service: its settings, its gevent worker, and its response to malformed HTTP."""
