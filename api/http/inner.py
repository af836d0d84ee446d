"""The inner listener of a process: how it is, for whoever runs it, on an address of its own.

It has a door of its own, so that a process whose public one is full is still asked how it is, and no TLS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from api.http.door import Bounds, Door
from api.http.http_protocol import JoiningProtocol
from personalization.errors import Refused

logger = logging.getLogger(__name__)


@asynccontextmanager
async def inner_listener(app: ASGIApp, host: str, port: int, *, shared: bool = False) -> AsyncIterator[int]:
    """Serve ``app`` while the block runs; gives the port (``port`` 0: any free one).

    Parameters
    ----------
    shared
        Whether other processes listen on the same port.

    Raises
    ------
    Refused
        Where the port is taken, or may not be used.
    """
    config = uvicorn.Config(app, interface="asgi3", lifespan="off", ws="none", date_header=False, log_config=None)
    state = ServerState()
    loop = asyncio.get_running_loop()
    door = Door(Bounds())
    protocol = partial(JoiningProtocol, config=config, server_state=state, app_state={}, _loop=loop, door=door)
    config.load()
    try:
        server = await loop.create_server(protocol, host, port, reuse_port=shared or None)
    except OSError as error:
        raise Refused(
            f"cannot listen on {host}:{port} ({error.strerror}) for /metrics; stop what uses that port, or "
            "choose another: NEXTBEST_METRICS_PORT"
        ) from error
    bound: int = server.sockets[0].getsockname()[1]
    logger.info("health_port_open", extra={"port": bound})
    try:
        yield bound
    finally:
        server.close()
        for connection in tuple(state.connections):
            connection.shutdown()
        await server.wait_closed()
