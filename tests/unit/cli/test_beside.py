"""Commands find the installation beside them, and never one that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from cli.beside import beside_up, find_installation
from cli.data_dir import DataDir
from cli.running_file import NAME, RunningInstallation, kafka_access, read_running, remove_running
from config.setting_values import PREFIX
from config.settings import Settings
from personalization.errors import Refused

GIVEN = "0123456789abcdef" * 2
HERE = RunningInstallation("http://127.0.0.1:8700", "redis://:hunter2@127.0.0.1:7001/0", "", "shop")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A data folder that somebody holds, with what runs on it."""
    data_dir = DataDir(tmp_path / "data")
    HERE.write(data_dir.path)
    data_dir.secret()
    yield data_dir.path
    data_dir.release()


def test_what_runs_is_read_by_its_owner_alone(running: Path) -> None:
    assert read_running(running) == HERE
    assert (running / NAME).stat().st_mode & 0o777 == 0o600
    remove_running(running)
    assert read_running(running) is None


def test_what_a_killed_process_left_behind_tells_nothing(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    HERE.write(data_dir.path)
    data_dir.release()  # the kernel does this, whatever ends the process
    assert (data_dir.path / NAME).exists()
    assert read_running(data_dir.path) is None


def test_looking_takes_the_folder_from_nobody(tmp_path: Path) -> None:
    DataDir(tmp_path / "data").release()
    assert read_running(tmp_path / "data") is None
    DataDir(tmp_path / "data").release()
    assert read_running(tmp_path / "nowhere") is None


def test_a_damaged_file_tells_nothing(running: Path) -> None:
    (running / NAME).write_bytes(b'{"api":')
    assert read_running(running) is None


def test_its_redis_log_namespace_and_secret_are_taken_along(running: Path) -> None:
    environment = {"NEXTBEST_DATA_DIR": str(running), "NEXTBEST_KAFKA": "elsewhere:9092"}
    words = find_installation(environment, None)
    assert environment == {
        "NEXTBEST_DATA_DIR": str(running),
        "NEXTBEST_REDIS": HERE.redis,
        "NEXTBEST_NAMESPACE": "shop",
        "NEXTBEST_SECRET": (running / "secret").read_text().strip(),
    }
    assert f"`nextbest up` on {running} (API http://127.0.0.1:8700" in words
    assert "hunter2" not in words


def test_the_way_to_its_servers_is_taken_along_whole_and_of_another_one_nothing(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    access = {
        "NEXTBEST_KAFKA_SECURITY": "SASL_SSL",
        "NEXTBEST_KAFKA_USER": "ali",
        "NEXTBEST_KAFKA_PASSWORD": "hunter2",
    }
    redis = "rediss://cache/0?password=hunter2&tls_ca=%2Fetc%2Fca.pem"
    RunningInstallation("http://127.0.0.1:8700", redis, "kafka:9093", "shop", access).write(data_dir.path)
    (tmp_path / "password").write_text("of another one")
    environment = {
        "NEXTBEST_REDIS": "redis://elsewhere",
        "NEXTBEST_REDIS_PASSWORD_FILE": str(tmp_path / "password"),
        "NEXTBEST_REDIS_TIMEOUT_MS": "77",
        "NEXTBEST_KAFKA_MECHANISM": "PLAIN",
        "NEXTBEST_SECRET": GIVEN,
    }
    words = find_installation(environment, data_dir.path)
    data_dir.release()
    assert environment == {
        "NEXTBEST_DATA_DIR": str(data_dir.path),
        "NEXTBEST_REDIS": redis,
        "NEXTBEST_REDIS_TIMEOUT_MS": "77",
        "NEXTBEST_NAMESPACE": "shop",
        "NEXTBEST_KAFKA": "kafka:9093",
        "NEXTBEST_SECRET": GIVEN,
        **access,
    }
    assert "Redis at rediss://cache/0?password=***)" in words


def test_every_setting_of_the_way_to_kafka_is_written_down() -> None:
    given = {
        "NEXTBEST_KAFKA_SECURITY": "SASL_SSL",
        "NEXTBEST_KAFKA_SERVER_NAME": "kafka.internal",
        "NEXTBEST_KAFKA_USER": "ali",
        "NEXTBEST_KAFKA_PASSWORD": "hunter2",
        "NEXTBEST_KAFKA_MECHANISM": "PLAIN",
    }
    settings = Settings.from_environment({"NEXTBEST_KAFKA": "kafka:9093", **given})
    assert kafka_access(settings) == given
    known = {PREFIX + row.name.upper() for row in fields(Settings) if row.name.startswith("kafka_")}
    files = {f"NEXTBEST_KAFKA_{name}_FILE" for name in ("CA", "CERTIFICATE", "KEY", "PASSWORD")}
    assert known == given.keys() | files, "another one has to be told as well"


def test_nextbest_redis_comes_before_what_runs_here(running: Path) -> None:
    environment = {"NEXTBEST_DATA_DIR": str(running), "NEXTBEST_REDIS": "redis://:hunter2@cache:6379"}
    before = dict(environment)
    assert find_installation(environment, None) == "Redis at redis://:***@cache:6379, namespace nextbest"
    assert environment == before


def test_a_data_folder_given_by_hand_comes_before_nextbest_redis(running: Path) -> None:
    environment = {"NEXTBEST_REDIS": "redis://cache:6379"}
    find_installation(environment, running)
    assert environment["NEXTBEST_REDIS"] == HERE.redis


def test_a_data_folder_given_by_hand_on_which_nothing_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no `nextbest up` runs on .*start one there"):
        find_installation({"NEXTBEST_REDIS": "redis://cache:6379"}, tmp_path)


def test_with_nothing_running_it_is_said_whom_it_talks_to(tmp_path: Path) -> None:
    environment = {"NEXTBEST_DATA_DIR": str(tmp_path)}
    words = find_installation(environment, None)
    assert words.startswith("Redis at redis://127.0.0.1:6379/0, namespace nextbest, as no `nextbest up` runs on")
    assert environment == {"NEXTBEST_DATA_DIR": str(tmp_path)}


@pytest.mark.parametrize("name", ["NEXTBEST_SECRET", "NEXTBEST_SECRET_FILE"])
def test_a_secret_that_is_given_is_not_replaced_by_its_own(running: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "given").write_text(GIVEN)
    given = {name: GIVEN if name == "NEXTBEST_SECRET" else str(tmp_path / "given")}
    environment = {"NEXTBEST_DATA_DIR": str(running), **given}
    find_installation(environment, None)
    assert Settings.from_environment(environment).secret == GIVEN


def test_a_command_is_given_an_option_by_its_group_and_stays_itself_elsewhere() -> None:
    @click.command()
    def alone() -> None:
        """Do nothing."""

    names = [parameter.name for parameter in beside_up(alone).params]
    assert names == ["data_dir"]
    assert not alone.params
