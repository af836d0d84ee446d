"""``python -m api.main``: one API process, or several that share the port.

uvicorn with uvloop and httptools, no access log: what a request cost is in the metrics.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial

import uvicorn
from uvicorn.supervisors import Multiprocess

from api.http.door import Bounds, Door
from api.http.http_protocol import JoiningProtocol
from api.process.metrics import MULTIPROCESS_DIR
from background.garbage import loading
from background.ports import free_port
from config.settings import Settings


def create_app() -> object:
    """The application of this process, by the settings in its environment."""
    with loading():
        from api.app import Application
        from api.http.inner import inner_listener
        from api.process.composition import open_services
        from installation.process_log import set_up_logging

    settings = Settings.from_environment()
    set_up_logging(settings.log)  # also where uvicorn has started it as one of several
    shared = settings.api_processes > 1
    return Application(
        lambda: open_services(settings),
        lambda app: inner_listener(app, settings.metrics_host, settings.metrics_port, shared=shared),
    )


def server_config(settings: Settings) -> uvicorn.Config:
    """How uvicorn serves it."""
    return uvicorn.Config(
        "api.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.api_processes,
        loop="uvloop",
        http=partial(JoiningProtocol, door=Door(Bounds.of(settings))),  # type: ignore[arg-type]  # uvicorn calls it
        interface="asgi3",  # which uvicorn cannot tell of an application that gives its routes' coroutines
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,  # uvicorn's lines go where ours do, and look like them
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        backlog=2048,
        timeout_graceful_shutdown=10,
    )


def run(settings: Settings) -> None:
    """Serve until told to stop (SIGINT, SIGTERM)."""
    config = server_config(settings)
    if settings.api_processes == 1:
        uvicorn.Server(config).run()
        return
    if not settings.metrics_port:  # they share this one too
        os.environ["NEXTBEST_METRICS_PORT"] = str(free_port(settings.metrics_host))
    # Processes that serve one port sum their metrics through files; the directory has to be named before the
    # first of them imports the client library.
    folder = tempfile.mkdtemp(prefix="nextbest-metrics-")
    os.environ[MULTIPROCESS_DIR] = folder
    try:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run(Settings.from_environment())
