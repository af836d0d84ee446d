"""A standby is a guest: it waits for the lease, says so, and leaves when asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from state.embedded import EmbeddedRedis
from tests.integration.crashing import System, Worker, settings_of, until

pytestmark = [pytest.mark.redis, pytest.mark.timeout(60)]


@pytest.mark.parametrize("role", ["folder", "learner"])
async def test_a_standby_stops_cleanly(
    role: str, redis_server: EmbeddedRedis, namespace: str, tmp_path: Path
) -> None:
    async with System(settings_of("", redis_server.url, namespace), tmp_path, seed=1) as system:
        owner = system.start(role)
        await until(lambda: _said(owner, "lease_owned"), "the owner owns", 20)
        standby = system.start(role)
        await until(lambda: _said(standby, "[^-Consumer]: Starting"), "the standby stands by", 20)
        assert standby.stop() == 0, standby.output()
        assert owner.stop() == 0, owner.output()


async def _said(worker: Worker, text: str) -> bool:
    return text in worker.output()
