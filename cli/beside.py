"""Commands beside a running ``nextbest up`` find it by its data folder, and say whom they talk to."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from copy import copy
from pathlib import Path

import click

from cli.running_file import read_running
from config.setting_values import PREFIX, shown_url
from config.settings import Settings, is_secret_set
from personalization.errors import Refused

REDIS, KAFKA, NAMESPACE = PREFIX + "REDIS", PREFIX + "KAFKA", PREFIX + "NAMESPACE"
OWN_WAY = frozenset({PREFIX + "REDIS_TIMEOUT_MS", PREFIX + "REDIS_MEMORY_BYTES"})
"""Settings that begin like those of the way to Redis, and are none of them."""

SECRET, DATA_DIR = PREFIX + "SECRET", PREFIX + "DATA_DIR"


def find_installation(environment: MutableMapping[str, str], data_dir: Path | None) -> str:
    """Point ``environment`` at the installation to talk to; which one that is, in words.

    It is what runs on ``data_dir``, if that is given; else what ``NEXTBEST_REDIS`` names; else what runs on the
    settings' data folder. Of what runs, log, namespace and secret are taken along.

    Raises
    ------
    InvalidSettings
        With every mistake in ``environment``.
    Refused
        If nothing runs on ``data_dir``.
    """
    settings = Settings.from_environment(environment)
    if data_dir is None and REDIS in environment:
        return f"Redis at {shown_url(settings.redis)}, namespace {settings.namespace}"
    folder = data_dir or Path(settings.data_dir)
    running = read_running(folder)
    if running is None:
        if data_dir is not None:
            raise Refused(
                f"no `nextbest up` runs on {data_dir}: start one there, or name the folder of one that runs"
            )
        return (
            f"Redis at {shown_url(settings.redis)}, namespace {settings.namespace}, as no `nextbest up` runs on "
            f"{folder} (--data-dir names another folder, {REDIS} another Redis)"
        )
    environment[REDIS], environment[NAMESPACE] = running.redis, running.namespace
    environment[DATA_DIR] = str(folder)
    for name in [name for name in environment if name.startswith((f"{REDIS}_", KAFKA)) and name not in OWN_WAY]:
        del environment[name]
    if running.kafka:
        environment.update({KAFKA: running.kafka, **running.kafka_access})
    if not is_secret_set(environment) and (secret := _secret(folder)):
        environment[SECRET] = secret
    return f"`nextbest up` on {folder} (API {running.api}, Redis at {shown_url(running.redis)})"


def _secret(folder: Path) -> str:
    try:
        return (folder / "secret").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def beside_up(command: click.Command) -> click.Command:
    """``command``, with an option ``--data-dir``: its settings are those of what runs there."""

    def found(context: click.Context, _: click.Parameter, value: Path | None) -> None:
        if not context.resilient_parsing:
            click.echo(f"nextbest: talking to {find_installation(os.environ, value)}", err=True)

    option = click.Option(
        ["--data-dir"],
        type=click.Path(path_type=Path, file_okay=False),
        expose_value=False,
        callback=found,
        help="Data folder of the `nextbest up` to talk to.  [default: NEXTBEST_REDIS, else .nextbest]",
    )
    dressed = copy(command)  # the command itself may be asked for elsewhere, as it is
    if not any("--data-dir" in parameter.opts for parameter in command.params):
        dressed.params = [*command.params, option]
    return dressed
