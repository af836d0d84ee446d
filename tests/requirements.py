"""Parts a test needs beside Python packages: it skips with a plain reason where one is missing.

Under ``NEXTBEST_REQUIRE_ALL=1`` a missing part fails the test instead.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from personalization.errors import Unavailable
from state.embedded import find_redis_server


def missing(part: str, remedy: str) -> NoReturn:
    """Skip, or fail where everything is required."""
    reason = f"{part} is missing here: {remedy}"
    if os.environ.get("NEXTBEST_REQUIRE_ALL") == "1":
        pytest.fail(f"NEXTBEST_REQUIRE_ALL=1, but {reason}")
    pytest.skip(reason)


def require(part: str) -> None:
    """Skip or fail unless ``part`` (``redis``, ``kafka``, ``parquet``, or a command's name) can run here."""
    if part == "redis":
        try:
            find_redis_server()
        except Unavailable as error:
            missing("redis-server", str(error))
    elif part == "kafka":
        for command in ("java", "mvn"):
            if shutil.which(command) is None:
                missing(command, "Apache Kafka runs on Java, and its jars come by Maven")
    elif part == "parquet":
        for package in ("arro3", "duckdb"):
            if find_spec(package) is None:
                missing(package, "pip install -r requirements-dev.lock")
    elif shutil.which(part) is None:
        missing(part, "not on PATH")


def data_file(name: str) -> Path:
    """A file in ``NEXTBEST_DATA``, or in a folder ``data`` beside the project's; skips or fails without it."""
    folders = [Path(os.environ["NEXTBEST_DATA"])] if "NEXTBEST_DATA" in os.environ else []
    folders += sorted(Path(__file__).resolve().parents[2].glob("*/data"))
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    missing(name, "name the folder that holds it in NEXTBEST_DATA")
