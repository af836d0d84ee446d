"""Every client that we give away, opened alike."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.speaking_clients import Awaiting, InNode, Opening, Speaking, Waiting
from tests.clients.stub_server import Stub, serving
from tests.clients.typescript import built


@pytest.fixture(scope="session")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the TypeScript client is installed."""
    return built(tmp_path_factory.mktemp("typescript"))


@pytest.fixture(params=["sync", "async", "node"])
def speaker(request: pytest.FixtureRequest) -> Iterator[Opening]:
    if request.param == "node":
        yield functools.partial(InNode, request.getfixturevalue("typescript"))
    else:
        yield {"sync": Waiting, "async": Awaiting}[request.param]


@pytest.fixture(scope="module")
def _serving() -> Iterator[Stub]:
    with serving() as stub:
        yield stub


@pytest.fixture
def stub(_serving: Stub) -> Stub:
    _serving.asked.clear()
    _serving.hangs_up = False
    _serving.refuses = lambda _events: None
    return _serving


@pytest.fixture
def opened(speaker: Opening, stub: Stub) -> Iterator[Opening]:
    clients: list[Speaking] = []

    def open_client(url: str = stub.url, **options: Any) -> Speaking:
        fast = {"timeout_s": 5.0, "first_pause_s": 0.01, "flush_every_s": 0.01, "close_timeout_s": 0.5}
        clients.append(speaker(url, "pk_dev", **{**fast, **options}))
        return clients[-1]

    yield open_client
    stub.free.set()
    stub.trickles = False
    stub.script.clear()
    for client in clients:
        client.end()
