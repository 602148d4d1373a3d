"""The front door: a Flask app that takes songs in and hands stems out."""

from rest.app import create_app

__all__ = ["create_app"]
