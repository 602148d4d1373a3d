"""The REST service: a Flask app that takes songs in and hands stems out."""
