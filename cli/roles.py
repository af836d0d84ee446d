"""Each role as a process of its own: ``nextbest folder``, ``nextbest learner``, ``nextbest api``."""

from __future__ import annotations

import click

from cli import lifeline
from config.settings import Settings


@click.command(short_help="Run one folder: the visitor log into visitor states.")
def folder() -> None:
    """Fold the visitor log into visitor states, until stopped."""
    lifeline.hold()
    settings = Settings.from_environment()
    from stream.folder_main import run

    run(settings)


@click.command(short_help="Run one learner: outcomes into models.")
def learner() -> None:
    """Learn from outcomes and publish models, until stopped."""
    lifeline.hold()
    settings = Settings.from_environment()
    from stream.learner_main import run

    run(settings)


@click.command(short_help="Run the HTTP API: collect events, decide.")
def api() -> None:
    """Serve the HTTP API, until stopped."""
    lifeline.hold()
    settings = Settings.from_environment()
    from api.main import run

    run(settings)
