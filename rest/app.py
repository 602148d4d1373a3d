"""The app factory: a table of contents of the API."""

from __future__ import annotations

from flask import Flask

from msas.queue import Queue
from msas.settings import Settings
from msas.store import Store
from rest import health, jobs, models, problems, separate, tracks
from rest.services import Services

BASE64_OVERHEAD = 4 / 3
_JSON_ROOM = 1_000_000  # bytes of a body beside the song


def create_app(settings: Settings) -> Flask:
    """Return the REST service for these settings; connects to Redis and the store when first needed."""
    app = Flask("rest", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = int(settings.max_upload_mb * 1e6 * BASE64_OVERHEAD) + _JSON_ROOM
    app.extensions["msas"] = Services(
        settings=settings,
        queue=Queue.from_settings(settings),
        store=Store.from_settings(settings),
    )
    problems.install(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(separate.blueprint, url_prefix="/apiv1")
    app.register_blueprint(jobs.blueprint, url_prefix="/apiv1")
    app.register_blueprint(tracks.blueprint, url_prefix="/apiv1")
    app.register_blueprint(models.blueprint, url_prefix="/apiv1")
    return app
