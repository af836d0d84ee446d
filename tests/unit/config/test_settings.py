"""Settings: read from the environment, all mistakes at once, secrets hidden, and every one of them used."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from config.settings import PREFIX, InvalidSettings, Settings

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("api", "cli", "config", "stream", "state")


def test_the_environment_overrides_the_defaults() -> None:
    settings = Settings.from_environment({"NEXTBEST_PORT": " 9000 ", "NEXTBEST_KAFKA": "host:9092", "HOME": "x"})
    assert (settings.port, settings.kafka, settings.deadline_ms) == (9000, "host:9092", 50)


def test_every_mistake_is_named_at_once() -> None:
    environment = {
        "NEXTBEST_PORT": "http",
        "NEXTBEST_PARTITIONS": "12",
        "NEXTBEST_REDIS": "localhost",
        "NEXTBEST_SECRET": "",
        "NEXTBEST_LEASE_MS": "0",
    }
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment(environment)
    assert sorted(error.field for error in refused.value.errors) == sorted(environment)


def test_the_secret_hides_itself() -> None:
    settings = Settings.from_environment({"NEXTBEST_SECRET": "hunter2"})
    assert "hunter2" not in repr(settings)
    assert settings.secret.encode() == b"hunter2"


def test_the_development_secret_stays_on_this_machine() -> None:
    with pytest.raises(InvalidSettings, match="must be one of your own"):
        Settings.from_environment({"NEXTBEST_HOST": "0.0.0.0"})
    assert Settings.from_environment({"NEXTBEST_HOST": "0.0.0.0", "NEXTBEST_SECRET": "x"}).host == "0.0.0.0"


def test_no_setting_is_only_talk() -> None:
    sources = "\n".join(path.read_text() for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    unused = [
        row.name
        for row in fields(Settings)
        if f"ettings.{row.name}" not in sources and PREFIX + row.name.upper() not in sources
    ]
    assert unused == []
