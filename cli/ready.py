"""``nextbest ready``: the health check of a container."""

from __future__ import annotations

import asyncio
import sys

import click

from cli.http_probe import is_ready
from config.settings import Settings


@click.command(short_help="Exit 0 if the process in this container is ready.")
def ready() -> None:
    """Ask the API's port and the workers' port on this machine; exit 0 if either answers that it is ready."""
    settings = Settings.from_environment()
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host

    async def any_ready() -> bool:
        ports = {port for port in (settings.port, settings.metrics_port) if port}
        return any(await asyncio.gather(*(is_ready(host, port) for port in ports)))

    sys.exit(0 if asyncio.run(any_ready()) else 1)
