"""``nextbest ready``: the health check of a container."""

from __future__ import annotations

import asyncio
import sys

import click

from cli.http_probe import is_ready, reachable
from config.settings import Settings


@click.command(short_help="Exit 0 if the process in this container is ready.")
def ready() -> None:
    """Ask NEXTBEST_METRICS_PORT on this machine; exit 0 if it answers that it is ready."""
    settings = Settings.from_environment()
    if not settings.metrics_port:
        raise click.UsageError("the port to ask is not known: set NEXTBEST_METRICS_PORT, here and for the process")
    sys.exit(0 if asyncio.run(is_ready(reachable(settings.metrics_host), settings.metrics_port)) else 1)
