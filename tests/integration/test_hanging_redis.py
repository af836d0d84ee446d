"""Commands beside a Redis that takes connections and answers nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import BESIDE_UP, COMMANDS, nextbest
from installation import opened
from personalization.errors import Unavailable
from state.embedded import EmbeddedRedis
from tests.requirements import require
from tests.standing_still import stand_still

pytestmark = pytest.mark.redis

CATALOG = """
placements: {home: {content: [red], default: red}}
content: {red: {body: {}}}
sources: {site: {write_keys: [pk_dev], server_keys: [sk_dev]}}
"""
RUN = {
    "publish": ["CATALOG"],
    "rollback": ["1"],
    "history": [],
    "retrain": ["buys"],
    "epoch": ["show"],
    "keys": ["list"],
    "audit": ["show"],
    "refused": [],
    "segments": [],
    "report": [],
    "export": ["segments", "--to", "FILE.csv"],
    "challengers": [],
    "promote": ["home"],
    "demote": ["home"],
    "why": ["ann", "home"],
    "preview-link": ["home"],
    "model": ["home"],
    "log": ["ann"],
    "trace": ["r1"],
    "replay": ["--check"],
    "replay-decision": ["d1"],
}
LIVE = {"top"}
"""It shows who answers, and goes on."""


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require("redis")
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        assert server.pid is not None
        stand_still(server.pid)
        try:
            yield server.url
        finally:
            os.kill(server.pid, signal.SIGCONT)


def test_every_command_that_talks_to_an_installation_is_looked_at() -> None:
    assert RUN.keys() | LIVE == {*BESIDE_UP, "replay", "replay-decision"}
    assert RUN.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("command", RUN)
def test_a_command_gives_up_on_a_redis_that_hangs(
    hanging: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened.ANSWER_S <= 5.0
    monkeypatch.setattr(opened, "ANSWER_S", 0.3)
    (tmp_path / "shop.yaml").write_text(CATALOG)
    places = {"CATALOG": tmp_path, "FILE.csv": tmp_path / "rows.csv"}
    words = [str(places.get(word, word)) for word in RUN[command]]
    environment = {"NEXTBEST_REDIS": hanging, "NEXTBEST_SECRET": "0123456789abcdef" * 2}
    done = CliRunner().invoke(nextbest, [command, *words], env=environment)
    assert isinstance(done.exception, Unavailable), done.output
    assert "does not answer (not within 0.3 s)" in str(done.exception)
