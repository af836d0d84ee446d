"""Dockerfile and compose.yaml speak of files, commands, settings and volumes that are there.

They are built where there is an engine; what would fail there and can be read is checked here.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from redis import AuthenticationError, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from background.ports import free_port
from cli.main import nextbest
from config.setting_values import PREFIX
from config.settings import InvalidSettings, Settings
from state.embedded import find_redis_server, redis_options
from tests.requirements import require
from tests.running import until
from tests.servers import ROOT
from tests.unit.deploy.container_files import CONTEXT, compose, in_context, stages

STAGES = stages()
IMAGE = STAGES[-1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SECRET = "0123456789abcdef" * 2
COMPOSE = compose(NEXTBEST_SECRET=SECRET, NEXTBEST_CATALOG_DIR="./config/catalog")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("build") == "."]
SETTINGS = {PREFIX + row.name.upper() for row in fields(Settings)}


def resolve(words: list[str]) -> None:
    """See that click takes the words as a command of ours, arguments and all; raises ``click.ClickException``."""
    group = click.Context(nextbest, info_name="nextbest")
    name, command, rest = nextbest.resolve_command(group, list(words))
    assert command is not None
    command.make_context(name, rest, parent=group)


def environment(service: str) -> dict[str, str]:
    return IMAGE.environment() | {name: str(value) for name, value in SERVICES[service]["environment"].items()}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_what_is_copied_is_there(stage: Any) -> None:
    earlier = [other.name for other in STAGES[: STAGES.index(stage)]]
    assert stage.copies()
    for source, paths in stage.copies():
        if source:
            assert source in earlier
            continue
        for path in paths:
            assert (CONTEXT / path).exists(), f"COPY {path}"
            assert path == "." or in_context(CONTEXT / path), f".dockerignore keeps {path} out"


def test_the_context_holds_what_the_wheel_is_made_of() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = [ROOT / "pyproject.toml", ROOT / PROJECT["project"]["readme"], ROOT / "LICENSE"]
    for package in wheel:
        files = [path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert files
        needed += files
    assert [str(path) for path in needed if not in_context(path)] == []


@pytest.mark.parametrize(
    "kept_out", [".git/HEAD", ".env", ".nextbest/secret", "tests/parts.py", "api/__pycache__/a.pyc"]
)
def test_the_context_holds_no_more(kept_out: str) -> None:
    assert not in_context(CONTEXT / kept_out)


def test_the_image_runs_on_a_python_the_project_takes() -> None:
    for stage in STAGES:
        name, _, tag = stage.image.partition(":")
        assert name == "python"
        version = tuple(int(part) for part in tag.removesuffix("-slim").split("."))
        assert version >= tuple(
            int(part) for part in PROJECT["project"]["requires-python"].removeprefix(">=").split(".")
        )
    assert STAGES[0].image == IMAGE.image, "a virtual environment is copied: the interpreter is the same"


def test_the_image_starts_with_commands_of_ours() -> None:
    (program,) = IMAGE.last_command("ENTRYPOINT")
    assert program in PROJECT["project"]["scripts"]
    resolve(IMAGE.last_command("CMD"))
    check = IMAGE.all("HEALTHCHECK")[-1].partition("CMD ")[2]
    assert check == f'["{program}", "ready"]'
    resolve(["ready"])


def test_the_images_environment_is_settings_with_ports_it_exposes() -> None:
    told = {name: value for name, value in IMAGE.environment().items() if name.startswith(PREFIX)}
    assert told.keys() <= SETTINGS
    settings = Settings.from_environment({**told, "NEXTBEST_SECRET": SECRET})
    assert {settings.port, settings.metrics_port} == {int(port) for port in IMAGE.all("EXPOSE")[-1].split()}
    assert IMAGE.all("VOLUME") == [settings.data_dir]
    assert settings.data_dir in IMAGE.all("RUN")[-1], "made for the user that runs"


def test_without_a_secret_and_a_catalog_nothing_starts() -> None:
    with pytest.raises(AssertionError, match="make a secret first"):
        compose()
    with pytest.raises(AssertionError, match="make a catalog first"):
        compose(NEXTBEST_SECRET=SECRET)
    with pytest.raises(InvalidSettings, match="SECRET"):
        Settings.from_environment(IMAGE.environment())


def test_compose_runs_every_role() -> None:
    assert {SERVICES[name]["command"][0] for name in OURS} == {"publish", "folder", "learner", "projector", "api"}


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_of_ours(name: str) -> None:
    service = SERVICES[name]
    mounts = dict(_mount(volume) for volume in service.get("volumes", ()))
    here = {target: source for target, source in mounts.items() if source.startswith(".")}
    for source in here.values():
        assert (ROOT / source).is_dir()
    resolve([str(ROOT / here[word]) if word in here else word for word in service["command"]])


@pytest.mark.parametrize("name", OURS)
def test_a_services_environment_is_settings_of_servers_that_are_there(name: str) -> None:
    told = environment(name)
    assert {name for name in told if name.startswith(PREFIX)} <= SETTINGS
    del told["NEXTBEST_REDIS_PASSWORD_FILE"]  # it is there in the container
    settings = Settings.from_environment(told)
    kafka, _, kafka_port = settings.kafka.partition(":")
    assert f"PLAINTEXT://{kafka}:{kafka_port}" == SERVICES[kafka]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert settings.redis == "redis://redis:6379/0"
    assert {kafka, "redis"} <= SERVICES[name]["depends_on"].keys()


@pytest.mark.parametrize("name", OURS)
def test_a_read_only_service_writes_to_volumes_alone(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    keeps = dict(_mount(volume) for volume in service.get("volumes", ()))
    assert (environment(name)["NEXTBEST_DATA_DIR"] in keeps) == (service["command"] == ["api"]), (
        "the spool is its own"
    )


def test_the_published_port_is_the_apis() -> None:
    (published,) = SERVICES["api"]["ports"]
    assert published == f"127.0.0.1:8700:{environment('api')['NEXTBEST_PORT']}"


def test_what_services_wait_for_is_there() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert SERVICES[other]["restart"] == "no", "it ends"


def test_volumes_are_declared_and_used() -> None:
    mounted = {_mount(volume)[1] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert {source for source in mounted if not source.startswith((".", "/"))} == COMPOSE["volumes"].keys()


def redis_script() -> str:
    """What the container of Redis runs, as its shell sees it."""
    *shell, script = SERVICES["redis"]["command"]
    assert shell == ["sh", "-euc"]
    return str(script).replace("$$", "$")


def test_redis_keeps_what_the_embedded_one_keeps() -> None:
    words = iter(redis_options(Path("/data"), Path("/data/redis.sock"), ""))
    embedded = dict(zip(words, words, strict=True))
    given = shlex.split(redis_script().partition("<<")[0])
    assert given[:4] == ["exec", "docker-entrypoint.sh", "redis-server", "-"]
    in_compose = dict(zip(given[4::2], given[5::2], strict=True))
    assert in_compose == {name: embedded[name] for name in in_compose}
    assert {"--appendonly", "--maxmemory-policy"} <= in_compose.keys()


@pytest.mark.redis
def test_redis_takes_its_password_from_the_file_and_no_list_of_processes_shows_it(tmp_path: Path) -> None:
    require("redis")
    password, port = "0123456789abcdef", free_port()
    (tmp_path / "password").write_text(password + "\n")
    (tmp_path / "docker-entrypoint.sh").write_text('#!/bin/sh\nshift\nexec "$SERVER" "$@"\n')
    (tmp_path / "docker-entrypoint.sh").chmod(0o755)
    script = redis_script().replace("/run/secrets/redis_password", str(tmp_path / "password"))
    script = script.replace(" <<END", f" --port {port} --bind 127.0.0.1 --dir {tmp_path} <<END")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SERVER": str(find_redis_server())}
    process = subprocess.Popen(["sh", "-euc", script], env=environment, stdout=subprocess.DEVNULL)
    try:
        with Redis(port=port, password=password) as redis:

            def answers() -> bool:
                with contextlib.suppress(RedisConnectionError):
                    return bool(redis.ping())
                return False

            until(answers, "Redis answers")
            assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True)
        assert "redis-server" in shown.stdout
        assert password not in shown.stdout
    finally:
        process.terminate()
        process.wait(20)


def test_nobody_outside_reaches_redis_or_kafka() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api", "prometheus"]
    assert not [name for name, service in SERVICES.items() if service.get("network_mode")]


def test_who_speaks_to_redis_is_given_its_password() -> None:
    (given,) = {environment(name)["NEXTBEST_REDIS_PASSWORD_FILE"] for name in OURS}
    assert Path(given).parent == Path("/run/secrets")
    assert COMPOSE["secrets"].keys() == {Path(given).name}
    for name in (*OURS, "redis"):
        assert SERVICES[name]["secrets"] == [Path(given).name]
    assert f"requirepass $(cat {given})" in redis_script()


def test_a_command_that_is_not_ours_would_be_found() -> None:
    for words in (["fodler"], ["publish", "one", "two"], ["folder", "--loud"]):
        with pytest.raises(click.ClickException):
            resolve(words)


def _mount(volume: str) -> tuple[str, str]:
    """(target, source) of a volume in its short form."""
    source, target = volume.split(":")[:2]
    return target, source
