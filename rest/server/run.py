"""Configures and runs gunicorn; each process also starts the upkeep and the callbacks."""

from __future__ import annotations

import resource
from typing import Any

from flask import Flask
from gevent.threadpool import ThreadPool
from gunicorn import glogging, util
from gunicorn.app.base import BaseApplication
from gunicorn.http import unreader, wsgi

from msas.logs import log
from msas.queue import connect
from msas.settings import Settings
from msas.upkeep.threads import Upkeep, start_reclaiming
from rest.app import create_app
from rest.callbacks.address_policy import resolve
from rest.callbacks.sender import CallbackSender
from rest.server import protocol_errors
from rest.server.gunicorn_worker import GreenletWorker
from rest.services import Services

# Longer than load balancers keep a connection (Google's: 600 s): closed first by us, it would now and then cost a POST.
KEEPALIVE_SECONDS = 650
_READ_BYTES = 64 * 1024
GRACEFUL_SECONDS = 10  # for requests in progress, once gunicorn is told to stop


class _Logger(glogging.Logger):  # type: ignore[misc]
    """Sends what gunicorn has to say the way of all our log lines."""

    def setup(self, cfg: Any) -> None:  # noqa: ARG002
        self.error_log.propagate = True


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, told everything by our settings and nothing by its own files."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        host = self.settings.rest_host
        options: dict[str, Any] = {
            "bind": f"{f'[{host}]' if ':' in host else host}:{self.settings.rest_port}",
            "worker_class": GreenletWorker,
            "workers": 1,  # more pods, not larger ones
            # Idle connections count, too.
            "worker_connections": 2 * self.settings.rest_connections,
            "timeout": 120,
            "graceful_timeout": GRACEFUL_SECONDS,
            "keepalive": KEEPALIVE_SECONDS,
            "logger_class": _Logger,
            "control_socket_disable": True,
        }
        wsgi.SERVER = "MSaaS"  # gunicorn has no setting for the banner, nor for its page of errors
        util.write_error = protocol_errors.write_error
        # Bytes that are read from a connection at once; gunicorn's 8,192 cost an eighth of an upload's time.
        unreader.SocketUnreader.__init__.__defaults__ = (_READ_BYTES,)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # Runs in each worker process, after the fork: threads and connections must not be made before.
        log.start("rest", connect(self.settings), self.settings.log_list)
        app = create_app(self.settings)
        found: Services = app.extensions["msas"]
        start_reclaiming(found.queue, self.settings)
        Upkeep(found.queue, found.store, self.settings).start()
        # Threads of their own: a name server that does not answer must not keep the threads that resolve our servers.
        resolving = ThreadPool(4)
        CallbackSender.from_settings(found.queue, self.settings, lambda *name: resolving.apply(resolve, name)).start()
        return app


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    settings = Settings.from_environment_or_exit()
    log.start("rest")
    _allow_open_files()
    Server(settings).run()
    return 0


def _allow_open_files() -> None:
    """Raise the limit of open files to what the system allows: a slow upload or download holds two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
