"""A Redis behind TLS and a password: every client gets in by the settings, or says in a sentence why not."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from background.ports import free_port
from background.redis_url import complete_url
from background.tls import TlsFiles
from config.settings import Settings
from eventlog.redis_streams import RedisStreamsLog
from installation.redis_clients import DeciderReads, background_client, catalog_client, worker_client
from installation.visitor_log import log_of
from personalization.data_cipher import CLEAR
from state.catalog_store import CatalogStore
from state.embedded import EmbeddedRedis
from tests.certificates import Authority, Signed
from tests.integration.test_api import accepted, api, decide, settings_for
from tests.integration.test_api import until as eventually
from tests.integration.test_api_outages import PAGE, all_well, says
from tests.requirements import require
from tests.running import ROOT, Up, begin, stop, until
from tests.unit.api.site import shop

pytestmark = [pytest.mark.redis, pytest.mark.timeout(240)]

PASSWORD = "p/w ?&#@:%"
SECONDS = 15.0
"""A role that is shut out ends within seconds; most are the start of Python on a busy machine."""


@dataclass
class Secured:
    """A Redis that takes TLS, a certificate of its clients, and a password."""

    authority: Authority
    port: int
    server: EmbeddedRedis
    settings: dict[str, str]

    def without(self, *names: str, **others: str) -> dict[str, str]:
        return {name: value for name, value in {**self.settings, **others}.items() if name not in names}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    require("redis")
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority.make(folder / "ours")
    server, client = authority.sign("redis", "127.0.0.1"), authority.sign("client")
    (folder / "password").write_text(PASSWORD + "\n")
    port = free_port()
    options = (
        *("--tls-port", str(port), "--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.key)),
        *("--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "yes"),
    )
    with EmbeddedRedis(folder / "redis", extra=options) as running:
        with Redis.from_url(running.url) as redis:
            redis.config_set("requirepass", PASSWORD)
        settings = {
            "NEXTBEST_REDIS": f"rediss://127.0.0.1:{port}/0",
            "NEXTBEST_REDIS_PASSWORD_FILE": str(folder / "password"),
            "NEXTBEST_REDIS_CA_FILE": str(authority.file),
            "NEXTBEST_REDIS_CERTIFICATE_FILE": str(client.certificate),
            "NEXTBEST_REDIS_KEY_FILE": str(client.key),
        }
        yield Secured(authority, port, running, settings)


async def test_every_client_gets_in(secured: Secured) -> None:
    settings = Settings.from_environment(secured.settings)
    for client in (
        background_client(settings.redis),
        catalog_client(settings.redis),
        worker_client(settings.redis),
    ):
        assert await client.set("who", "me")
        assert await client.get("who") == b"me"
        await client.aclose()
    reads, found = DeciderReads(settings.redis), asyncio.get_running_loop().create_future()
    reads(["who", "nobody"], found.set_result)
    assert await found == [b"me", None]
    await reads.aclose()
    log = log_of(settings, CLEAR)
    assert isinstance(log, RedisStreamsLog)
    assert (await log.create(2)).n_partitions == 2
    await log.close()


def role(*arguments: str, **settings: str) -> tuple[int, str, float]:
    """A command of ours with these settings: how it ended, what it said, and after how long."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**environment, "PYTHONPATH": str(ROOT), **settings},
        cwd=ROOT,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout, time.monotonic() - began


@pytest.mark.parametrize("name", ["api", "folder", "learner", "up"])
def test_no_role_starts_with_a_server_that_it_does_not_trust(secured: Secured, tmp_path: Path, name: str) -> None:
    stranger = Authority.make(tmp_path / "theirs")
    settings = secured.without(NEXTBEST_REDIS_CA_FILE=str(stranger.file), NEXTBEST_DATA_DIR=str(tmp_path / "data"))
    code, said, took_s = role(name, **settings)
    assert code == 1
    assert said.splitlines()[-1].startswith(f"nextbest: at rediss://127.0.0.1:{secured.port}/0")
    assert "signed by nobody we trust: give the CA that signed it in NEXTBEST_REDIS_CA_FILE" in said
    assert "Traceback" not in said
    assert took_s < SECONDS


def with_another_name(secured: Secured, folder: Path) -> dict[str, str]:
    return secured.without(NEXTBEST_REDIS_SERVER_NAME="cache.internal")


def with_no_certificate(secured: Secured, folder: Path) -> dict[str, str]:
    return secured.without("NEXTBEST_REDIS_CERTIFICATE_FILE", "NEXTBEST_REDIS_KEY_FILE")


def with_a_strangers_certificate(secured: Secured, folder: Path) -> dict[str, str]:
    theirs = Authority.make(folder / "theirs").sign("client")
    return secured.without(
        NEXTBEST_REDIS_CERTIFICATE_FILE=str(theirs.certificate), NEXTBEST_REDIS_KEY_FILE=str(theirs.key)
    )


def with_another_password(secured: Secured, folder: Path) -> dict[str, str]:
    (folder / "password").write_text("wrong-pass")
    return secured.without(NEXTBEST_REDIS_PASSWORD_FILE=str(folder / "password"))


def with_no_password(secured: Secured, folder: Path) -> dict[str, str]:
    return secured.without("NEXTBEST_REDIS_PASSWORD_FILE")


def with_no_such_file(secured: Secured, folder: Path) -> dict[str, str]:
    return secured.without(NEXTBEST_REDIS_CA_FILE=str(folder / "ca.pem"))


def with_a_key_for_a_ca(secured: Secured, folder: Path) -> dict[str, str]:
    return secured.without(NEXTBEST_REDIS_CA_FILE=secured.settings["NEXTBEST_REDIS_KEY_FILE"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            with_another_name,
            "for another name: connect to the name it is for, or say that name in NEXTBEST_REDIS_SERVER_NAME",
        ),
        (with_no_certificate, "look at NEXTBEST_REDIS_CERTIFICATE_FILE"),
        (with_a_strangers_certificate, "look at NEXTBEST_REDIS_CERTIFICATE_FILE"),
        (with_another_password, "Redis refuses the password: see NEXTBEST_REDIS and NEXTBEST_REDIS_PASSWORD_FILE"),
        (with_no_password, "Redis wants a password: see NEXTBEST_REDIS and NEXTBEST_REDIS_PASSWORD_FILE"),
        (with_no_such_file, "NEXTBEST_REDIS_CA_FILE: "),
        (with_a_key_for_a_ca, "holds no certificates in PEM"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_not_waited_for(
    secured: Secured, tmp_path: Path, wrong: Callable[[Secured, Path], dict[str, str]], words: str
) -> None:
    code, said, took_s = role("folder", **wrong(secured, tmp_path))
    assert code == 1, said
    assert words in said
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert "wrong-pass" not in said
    assert took_s < SECONDS


def test_tls_where_there_is_none_and_none_where_there_is(secured: Secured, redis_url: str) -> None:
    code, said, _ = role("folder", NEXTBEST_REDIS=redis_url.replace("redis://", "rediss://"))
    assert code == 1
    assert "it does not speak TLS on that port; write redis:// in NEXTBEST_REDIS" in said
    code, said, _ = role("folder", NEXTBEST_REDIS=f"redis://127.0.0.1:{secured.port}/0")
    assert code == 1
    assert "it speaks TLS on that port; write rediss:// in NEXTBEST_REDIS" in said


@pytest.mark.parametrize("command", [("history",), ("publish", "config/catalog"), ("replay", "--check")])
def test_commands_say_the_same_sentence(secured: Secured, tmp_path: Path, command: tuple[str, ...]) -> None:
    stranger = Authority.make(tmp_path / "theirs")
    code, said, _ = role(*command, **secured.without(NEXTBEST_REDIS_CA_FILE=str(stranger.file)))
    assert code == 1
    assert "signed by nobody we trust: give the CA that signed it in NEXTBEST_REDIS_CA_FILE" in said
    assert "Traceback" not in said


def test_a_certificate_that_has_expired_is_named(tmp_path: Path) -> None:
    require("redis")
    authority = Authority.make(tmp_path / "ours")
    expired = authority.sign("redis", "127.0.0.1", ended=True)
    port = free_port()
    options = (
        *("--tls-port", str(port), "--tls-cert-file", str(expired.certificate), "--tls-key-file", str(expired.key)),
        *("--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "no"),
    )
    with EmbeddedRedis(tmp_path / "redis", extra=options):
        code, said, _ = role(
            "learner",
            NEXTBEST_REDIS=f"rediss://127.0.0.1:{port}/0",
            NEXTBEST_REDIS_CA_FILE=str(authority.file),
        )
    assert code == 1
    assert "its certificate has expired: put a new one on that server" in said


def test_a_worker_that_waits_ends_when_the_server_turns_out_to_be_a_stranger(tmp_path: Path) -> None:
    require("redis")
    ours, theirs = Authority.make(tmp_path / "ours"), Authority.make(tmp_path / "theirs")
    stranger = theirs.sign("redis", "127.0.0.1")
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
    settings = {"NEXTBEST_REDIS": f"rediss://127.0.0.1:{port}/0", "NEXTBEST_REDIS_CA_FILE": str(ours.file)}
    with (tmp_path / "said").open("wb") as said:
        waiting = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "folder"],
            stdout=said,
            stderr=said,
            env={**environment, "PYTHONPATH": str(ROOT), **settings},
        )
    try:
        until(
            lambda: "waiting_for_servers" in (tmp_path / "said").read_text(), "it waits for a server that is away"
        )
        assert waiting.poll() is None
        options = (
            *("--tls-port", str(port), "--tls-cert-file", str(stranger.certificate)),
            *("--tls-key-file", str(stranger.key), "--tls-ca-cert-file", str(theirs.file)),
            *("--tls-auth-clients", "no"),
        )
        with EmbeddedRedis(tmp_path / "redis", extra=options):
            until(lambda: waiting.poll() is not None, "it ends")
    finally:
        waiting.kill()
        waiting.wait()
    assert waiting.returncode == 1
    assert "signed by nobody we trust" in (tmp_path / "said").read_text().splitlines()[-1]


async def test_an_api_at_work_says_that_a_certificate_has_expired_goes_on_and_is_well_again(tmp_path: Path) -> None:
    require("redis")
    authority = Authority.make(tmp_path / "ours")
    good, expired = authority.sign("good", "127.0.0.1"), authority.sign("expired", "127.0.0.1", ended=True)
    shown = tmp_path / "shown"
    port = free_port()
    options = (
        *("--tls-port", str(port), "--tls-cert-file", f"{shown}.pem", "--tls-key-file", f"{shown}.key"),
        *("--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "no"),
    )
    server = EmbeddedRedis(tmp_path / "redis", extra=options)

    def show(signed: Signed) -> None:
        server.stop()
        shutil.copy(signed.certificate, f"{shown}.pem")
        shutil.copy(signed.key, f"{shown}.key")
        server.start()

    show(good)
    try:
        async with AsyncRedis.from_url(server.url) as redis:
            await CatalogStore(redis, "test").publish(shop(), "test")
        url = complete_url(f"rediss://127.0.0.1:{port}/0", "", TlsFiles(ca=str(authority.file)))
        async with api(settings_for(url, tmp_path), publish=False) as client:
            await eventually(all_well(client))
            show(expired)
            await eventually(says(client, "redis", "certificates do not fit between this process and Redis"))
            assert (await decide(client))["decisions"][0]["contentId"]
            show(good)
            await eventually(all_well(client))
            await eventually(lambda: accepted(client, PAGE))
    finally:
        server.stop()


@pytest.mark.slow
def test_up_works_on_it_and_commands_beside_find_it(secured: Secured, tmp_path: Path) -> None:
    up: Up = begin(tmp_path / "data", **secured.settings)
    try:
        up.wait_ready()
        up.track("a1", "m1")
        until(lambda: up.event_count("a1") == 1, "the event reaches its state")
        code, said, _ = role("history", "--data-dir", str(tmp_path / "data"))
        assert code == 0, said
        assert PASSWORD not in "".join(up.said) + said
    finally:
        stop(up)
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
