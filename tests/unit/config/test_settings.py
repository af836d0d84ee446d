"""Settings: read from the environment, all mistakes at once, and every one of them used."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from config.setting_values import PREFIX
from config.settings import NOT_SETTINGS, InvalidSettings, Settings

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("api", "cli", "config", "installation", "operations", "state", "stream")


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


def test_no_setting_is_only_talk() -> None:
    sources = "\n".join(path.read_text() for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    unused = [
        row.name
        for row in fields(Settings)
        if f"ettings.{row.name}" not in sources and PREFIX + row.name.upper() not in sources
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NEXTBEST_REDDIS", "NEXTBEST_REDIS"),
        ("NEXTBEST_LOG_BYTE", "NEXTBEST_LOG_BYTES"),
        ("NEXTBEST_HOSTS", "NEXTBEST_HOST"),
        ("nextbest_port", "NEXTBEST_PORT"),
    ],
)
def test_a_misspelt_setting_is_a_mistake_that_names_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"{name}: there is no such setting; did you mean {meant}\?"):
        Settings.from_environment({name: "1"})


def test_a_name_like_no_other_is_a_mistake_too() -> None:
    with pytest.raises(
        InvalidSettings, match=r"NEXTBEST_QQQ: there is no such setting; docs/settings\.md lists all"
    ):
        Settings.from_environment({"NEXTBEST_QQQ": "1"})


def test_names_read_elsewhere_and_those_of_kubernetes_are_none_of_ours() -> None:
    links = (
        "NEXTBEST_SERVICE_HOST",
        "NEXTBEST_SERVICE_PORT_HTTP",
        "NEXTBEST_PORT_8700_TCP_ADDR",
        "NEXTBEST_API_PORT",
    )
    Settings.from_environment(dict.fromkeys((*NOT_SETTINGS, *links), "x"))


def test_every_name_with_our_prefix_in_the_code_is_known() -> None:
    known = {PREFIX + row.name.upper() for row in fields(Settings)} | NOT_SETTINGS
    folders = (*FOLDERS, "tests", "eventlog", "online_models", "benchmarks", "scripts", "deploy")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".yaml", ""}
    ]
    files += [ROOT / name for name in ("Dockerfile", "compose.yaml", "Makefile")]
    this = Path(__file__)
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file() and path != this]
    named = {name for text in texts for name in re.findall(r"\bNEXTBEST_[A-Z_]*[A-Z]\b", text)}
    assert "NEXTBEST_REQUIRE_ALL" in named
    assert named - known == {"NEXTBEST_REDDIS"}  # the example in a docstring
