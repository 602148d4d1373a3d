"""Creates the Flask application: registers every route and middleware, and makes what they share."""

from __future__ import annotations

from flask_openapi3.openapi import OpenAPI

from msas.queue import Queue
from msas.settings import Settings
from msas.store import Store
from rest.api import archive, health, jobs, links, models, openapi, retry, separate, tracks
from rest.api.schemas import ProblemAnswer
from rest.eta import Eta
from rest.job_reader import Results
from rest.long_poll import LongPolls
from rest.metrics import RestMetrics
from rest.middleware import auth, capacity, errors, headers, origin, request_metrics
from rest.mix import route as mix
from rest.mix.process import Mixer
from rest.services import Services
from rest.uploads.probe_pool import ProbePool
from rest.uploads.redis_memory import RedisMemory
from rest.uploads.store_space import StoreSpace
from rest.web import page


def create_app(settings: Settings) -> OpenAPI:
    """Return the REST service for these settings; connects to Redis and the store when first needed."""
    app = OpenAPI(
        "rest",
        info=openapi.INFO,
        security_schemes=openapi.SECURITY,
        validation_error_model=ProblemAnswer,
        doc_ui=False,
        static_folder=None,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    queue, store = Queue.from_settings(settings), Store.from_settings(settings)
    results = Results(queue, store)
    app.extensions["msas"] = Services(
        settings=settings,
        queue=queue,
        store=store,
        eta=Eta(queue, results),
        probe_pool=ProbePool(),
        long_polls=LongPolls(results),
        capacity=capacity.Capacity(settings.rest_connections, settings.spool_mb * 1e6),
        metrics=RestMetrics(),
        results=results,
        redis_memory=RedisMemory(queue),
        store_space=StoreSpace(queue, settings.max_store_gb),
        mixer=Mixer(),
    )
    headers.install(app)
    request_metrics.install(app)
    errors.install(app)
    capacity.install(app, app.extensions["msas"].capacity)
    origin.install(app, settings)
    auth.install(app, settings)
    for part in (page, health, request_metrics, openapi):
        app.register_api(part.blueprint)
    for part in (separate, retry, jobs, tracks, archive, mix, links, models):
        app.register_api(part.blueprint, url_prefix="/apiv1")
    return app
