"""Fixtures every test may ask for: the servers."""

from __future__ import annotations

import os

from background.garbage import settle_down
from cli.main import ONE_THREAD

for _name in ONE_THREAD:
    os.environ.setdefault(_name, "1")
# Processes that tests start load what one of them has compiled: compiling is a quarter of what a start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from tests.servers import kafka_server, namespace, redis_server, redis_url  # noqa: E402 (numpy, behind these, reads them once)

__all__ = ["kafka_server", "namespace", "redis_server", "redis_url"]


def pytest_collection_finish() -> None:
    """Look for garbage as our processes do: what thousands of tests have loaded was a fifth of what they cost."""
    settle_down()
