"""What a running ``nextbest up`` tells of itself in its data folder, for the commands beside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import msgspec

from cli.data_dir import OWNER_ONLY
from config.server_settings import kafka_tls
from config.setting_values import PREFIX
from config.settings import Settings

NAME = "running.json"


class RunningInstallation(msgspec.Struct, frozen=True):
    """Where an installation is.

    Attributes
    ----------
    api
        URL of its HTTP API.
    redis
        URL of its Redis, password, files of TLS and all: the file is its owner's alone.
    kafka
        Bootstrap servers of its log; empty: the log is in Redis.
    namespace
        Prefix of its keys and topics.
    kafka_access
        Settings of the way to Kafka by their names in the environment, password and all.
    inner
        Host and port where each process tells how it is, by its name.
    """

    api: str
    redis: str
    kafka: str
    namespace: str
    kafka_access: dict[str, str] = {}
    inner: dict[str, tuple[str, int]] = {}

    def write(self, data_dir: Path) -> None:
        """Put it into ``data_dir``, whole or not at all."""
        partial = data_dir / (NAME + ".part")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb") as file:
            file.write(msgspec.json.encode(self))
        partial.replace(data_dir / NAME)


def kafka_access(settings: Settings) -> dict[str, str]:
    """The settings of the way to Kafka, as another process is told of them; none where there is no Kafka."""
    if not settings.kafka:
        return {}
    tls = kafka_tls(settings)
    told = {
        "SECURITY": settings.kafka_security,
        "CA_FILE": tls.ca,
        "CERTIFICATE_FILE": tls.certificate,
        "KEY_FILE": tls.key,
        "SERVER_NAME": tls.server_name,
        "USER": settings.kafka_user,
        "PASSWORD": settings.kafka_password,
        "MECHANISM": settings.kafka_mechanism,
    }
    return {f"{PREFIX}KAFKA_{name}": str(value) for name, value in told.items() if value}


def remove_running(data_dir: Path) -> None:
    """Take it out again."""
    with contextlib.suppress(OSError):
        (data_dir / NAME).unlink(missing_ok=True)


def read_running(data_dir: Path) -> RunningInstallation | None:
    """What runs on ``data_dir`` now; None if nothing does.

    A file that a killed ``up`` left behind tells nothing: the folder's lock went with the process.
    """
    try:
        lock = os.open(data_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass  # somebody holds it
    else:
        return None
    finally:
        os.close(lock)
    try:
        return msgspec.json.decode((data_dir / NAME).read_bytes(), type=RunningInstallation)
    except (OSError, msgspec.DecodeError):
        return None
