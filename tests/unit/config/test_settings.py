"""Settings: read from the environment, all mistakes at once, secrets hidden, and every one of them used."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from config.settings import NOT_SETTINGS, PREFIX, InvalidSettings, Settings, shown_url
from installation.secrets_of import secrets_of

OWN = "0123456789abcdef" * 2
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


def test_the_secret_hides_itself() -> None:
    secret, before = "hunter2" * 5, "hunter1"
    settings = Settings.from_environment({"NEXTBEST_SECRET": secret, "NEXTBEST_SECRET_BEFORE": before})
    assert "hunter" not in repr(settings)
    assert (settings.secret, settings.secret_before) == (secret, before)
    secrets = secrets_of(settings)
    assert "hunter" not in f"{secrets!r} {secrets.key('draws')!r}"


def test_a_short_secret_is_refused_and_the_refusal_says_what_to_do_and_not_the_secret() -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({"NEXTBEST_SECRET": "hunter2" * 4})
    assert "NEXTBEST_SECRET: has 28 characters, and must have 32 or more; `openssl rand -hex 32`" in str(
        refused.value
    )
    assert "goes on with it as NEXTBEST_SECRET_BEFORE" in str(refused.value)
    assert "hunter" not in str(refused.value)
    Settings.from_environment({"NEXTBEST_SECRET": OWN, "NEXTBEST_SECRET_BEFORE": "hunter2"})


def test_the_secret_before_is_another_one() -> None:
    with pytest.raises(InvalidSettings, match="NEXTBEST_SECRET_BEFORE: is the secret in force"):
        Settings.from_environment({"NEXTBEST_SECRET": OWN, "NEXTBEST_SECRET_BEFORE": OWN})


@pytest.mark.parametrize("name", ["NEXTBEST_SECRET", "NEXTBEST_SECRET_BEFORE"])
def test_a_secret_is_read_from_a_file_without_its_last_newline(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(f" {OWN} \n")
    settings = Settings.from_environment({f"{name}_FILE": str(tmp_path / "secret")})
    assert getattr(settings, name.removeprefix(PREFIX).lower()) == f" {OWN} "
    with pytest.raises(InvalidSettings, match=f"{name}_FILE: is set, and {name} too"):
        Settings.from_environment({f"{name}_FILE": str(tmp_path / "secret"), name: OWN})


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_secret_is_a_mistake(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"NEXTBEST_SECRET_FILE: .*secret (cannot be read|is empty)"):
        Settings.from_environment({"NEXTBEST_SECRET_FILE": str(tmp_path / "secret")})


def test_the_development_secret_stays_on_this_machine() -> None:
    with pytest.raises(InvalidSettings, match="must be one of your own"):
        Settings.from_environment({"NEXTBEST_HOST": "0.0.0.0"})
    assert Settings.from_environment({"NEXTBEST_HOST": "0.0.0.0", "NEXTBEST_SECRET": OWN}).host == "0.0.0.0"


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


@pytest.mark.parametrize("host", ["localhost.corp", "127.evil.example", "127.0.0.1.nip.io", "::", "10.0.0.1"])
def test_what_only_begins_like_loopback_is_beyond_this_machine(host: str) -> None:
    with pytest.raises(InvalidSettings, match="must be one of your own"):
        Settings.from_environment({"NEXTBEST_HOST": host})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_may_use_the_development_secret(host: str) -> None:
    assert Settings.from_environment({"NEXTBEST_HOST": host}).host == host


def test_a_password_in_the_redis_url_hides_itself() -> None:
    settings = Settings.from_environment({"NEXTBEST_REDIS": "redis://:hunter2@cache:6379/0"})
    assert "hunter2" not in repr(settings)
    assert shown_url(settings.redis) == "redis://:***@cache:6379/0"
    assert settings.redis == "redis://:hunter2@cache:6379/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunt/er2@cache:6379",
        "redis://:hunt@er2:x@cache",
        "redis://u:hunter2@c?password=hunter2",
    ],
)
def test_no_part_of_a_password_is_shown(url: str) -> None:
    assert "er2" not in shown_url(url)


@pytest.mark.parametrize("url", ["redis://:hunt/er2@cache:6379", "redis://cache:hunter2", "hunter2"])
def test_a_refusal_quotes_no_url_as_a_password_may_be_in_it(url: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({"NEXTBEST_REDIS": url})
    assert "er2" not in str(refused.value)


def test_a_url_that_cannot_be_read_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidSettings, match=r"In a password, write / as %2F"):
        Settings.from_environment({"NEXTBEST_REDIS": "redis://:pass/word@cache:6379"})


def test_a_redis_cluster_is_refused_with_the_reason() -> None:
    with pytest.raises(InvalidSettings, match=r"a Redis Cluster cannot be used: .* through one server"):
        Settings.from_environment({"NEXTBEST_REDIS": "redis+cluster://cache:6379"})
