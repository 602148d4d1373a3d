"""The REST service: a Flask application that receives songs and sends stems."""
