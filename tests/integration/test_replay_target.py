"""Which secret a rebuild signs with, of a data folder that ``nextbest up`` has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.data_dir import DataDir
from cli.replay_target import target
from config.settings import Settings
from state.embedded import EmbeddedRedis
from tests.requirements import require

pytestmark = pytest.mark.redis

GIVEN = "0123456789abcdef" * 2


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A data folder with a Redis and a secret, in use by nobody."""
    require("redis")
    folder = DataDir(tmp_path / "data")
    folder.secret()
    with EmbeddedRedis(folder.path / "redis"):
        pass
    folder.release()
    return folder.path


def test_it_is_the_folders_own(left: Path) -> None:
    with target(Settings.from_environment({}), left) as settings:
        assert settings.secret == (left / "secret").read_text().strip()


@pytest.mark.parametrize("name", ["NEXTBEST_SECRET", "NEXTBEST_SECRET_FILE"])
def test_it_is_the_one_that_is_given(
    left: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given").write_text(GIVEN)
    monkeypatch.setenv(name, GIVEN if name == "NEXTBEST_SECRET" else str(tmp_path / "given"))
    with target(Settings.from_environment(), left) as settings:
        assert settings.secret == GIVEN
