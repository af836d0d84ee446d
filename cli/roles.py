"""Each role as a process of its own: ``nextbest folder``, ``learner``, ``projector``, ``api``."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import click

from background.garbage import loading
from cli import lifeline
from config.setting_values import PREFIX
from config.settings import Settings
from installation.process_log import set_up_logging

LISTEN_FD = "NEXTBEST_LISTEN_FD"
"""Number of the supervisor's listening socket, shared by its API processes.

How it is, each of them tells on a port of its own (``metrics_port``), where the supervisor asks it.
"""


@click.command(short_help="Run one folder: the visitor log into visitor states.")
def folder() -> None:
    """Fold the visitor log into visitor states, until stopped."""
    settings = _begin()
    with loading():
        from stream.folding.main import run

    _use_uvloop()
    _see_that_servers_let_us_in(settings)
    run(settings)


@click.command(short_help="Run one learner: outcomes into models.")
def learner() -> None:
    """Learn from outcomes and publish models, until stopped."""
    settings = _begin()
    with loading():
        from stream.learning.main import run

    _use_uvloop()
    _see_that_servers_let_us_in(settings)
    run(settings)


@click.command(short_help="Run one projector: what happened, added up and found again.")
def projector() -> None:
    """Add up decisions and outcomes, and note where their records stand, until stopped."""
    settings = _begin()
    with loading():
        from stream.projecting.main import run

    _use_uvloop()
    _see_that_servers_let_us_in(settings)
    run(settings)


@click.command(short_help="Run the HTTP API: collect events, decide.")
def api() -> None:
    """Serve the HTTP API, until stopped."""
    settings = _begin()
    _see_that_servers_let_us_in(settings)
    listening = os.environ.pop(LISTEN_FD, "")
    with loading():
        import uvicorn

        from api.main import run, server_config
    if not listening:
        run(settings)
        return
    shared = socket.socket(fileno=int(listening))
    uvicorn.Server(server_config(settings)).run(sockets=[shared])


def _begin() -> Settings:
    lifeline.hold()
    # It is for the API, which takes it once it runs; sent to another, or too early, it would end the process.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    set_up_logging(
        os.environ.get(f"{PREFIX}LOG", "").strip()
    )  # before settings: what is wrong with them is said there
    return Settings.from_environment()


def _see_that_servers_let_us_in(settings: Settings) -> None:
    from installation.way_in import check_way_in

    asyncio.run(check_way_in(settings))


def _use_uvloop() -> None:
    # The workers' batches are small and many: a good part of their time is the event loop's own.
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
