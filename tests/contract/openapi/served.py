"""An API that listens, in this process: real HTTP over services written by hand."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from api.app import Application
from api.main import server_config
from api.services.ports import Services
from background.ports import free_port
from config.settings import Settings
from tests.running import until
from tests.unit.api.site import Site


@contextmanager
def served(site: Site) -> Iterator[str]:
    """The URL where ``site`` is served, behind the door that it has in a process of its own."""

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        yield site.services()

    settings = Settings(port=free_port())
    config = server_config(settings)
    config.app, config.factory = Application(services), False
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "it listens")
        yield f"http://{settings.host}:{settings.port}"
    finally:
        server.should_exit = True
        thread.join(30)
