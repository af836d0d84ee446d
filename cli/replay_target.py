"""Which installation a replay is about: servers that run, or a data folder that ``nextbest up`` has left."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from cli.beside import find_installation
from cli.data_dir import UMASK, DataDir
from cli.redis_memory import embedded_redis_bytes
from cli.running_file import read_running
from config.setting_values import RedisUrl, Secret
from config.settings import Settings, is_secret_set
from personalization.errors import Refused
from state.embedded import EmbeddedRedis


@contextmanager
def target(settings: Settings, data_dir: Path | None) -> Iterator[Settings]:
    """The settings of what runs; of a data folder that ``nextbest up`` has left, with its Redis running meanwhile.

    Raises
    ------
    Refused
        Where the folder is in use.
    """
    before = os.umask(UMASK)  # a base holds what is known of everybody
    try:
        if data_dir is None or read_running(data_dir) is not None:
            environment = dict(os.environ)
            click.echo(f"nextbest: talking to {find_installation(environment, data_dir)}", err=True)
            yield Settings.from_environment(environment)
        else:
            with _stopped(settings, data_dir) as found:
                yield found
    finally:
        os.umask(before)


@contextmanager
def _stopped(settings: Settings, data_dir: Path) -> Iterator[Settings]:
    if not (data_dir / "redis").is_dir():
        raise Refused(f"{data_dir} is no data folder of `nextbest up`: there is no redis in it")
    folder = DataDir(data_dir, partial(click.echo, err=True))
    try:
        with EmbeddedRedis(folder.path / "redis", memory_bytes=embedded_redis_bytes(settings)) as server:
            secret = settings.secret if is_secret_set(os.environ) else Secret(folder.secret())
            yield dataclasses.replace(settings, redis=RedisUrl(server.url), secret=secret)
    finally:
        folder.release()
