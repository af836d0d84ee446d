"""A Kafka behind TLS: every client gets in by the settings, or says in a sentence why not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from background.ports import free_port
from config.settings import Settings
from eventlog.group_members import group_members
from eventlog.port import Record
from eventlog.topics import VISITOR_LOG
from installation.kafka_security import kafka_security
from installation.visitor_log import log_of
from personalization.data_cipher import CLEAR
from tests.certificates import Authority
from tests.requirements import require
from tests.running import ROOT, begin, stop, until
from tests.servers import kafka_broker, kafka_libs

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

PASSWORD = "open sesame"
SECONDS = 15.0

PROPERTIES = """\
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_ali="{password}";
"""


@dataclass
class Secured:
    """One broker; the settings of the way to it by certificate, and by password."""

    authority: Authority
    plain: str
    by_certificate: dict[str, str]
    by_password: dict[str, str]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    require("kafka")
    require("redis")
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority.make(folder / "ours")
    server, client = authority.sign("kafka", "kafka.internal"), authority.sign("client")
    (folder / "password").write_text(PASSWORD + "\n")
    ports = {"SSL": free_port(), "SASL_SSL": free_port()}
    properties = PROPERTIES.format(keystore=server.both(), truststore=authority.file, password=PASSWORD)
    user = f"SCRAM-SHA-512=[name=ali,password={PASSWORD}]"
    tls = {"NEXTBEST_KAFKA_CA_FILE": str(authority.file), "NEXTBEST_KAFKA_SERVER_NAME": "kafka.internal"}
    (folder / "kafka").mkdir()
    with kafka_broker(kafka_libs(), folder / "kafka", ports, properties, "--add-scram", user) as plain:
        yield Secured(
            authority,
            plain,
            {
                **tls,
                "NEXTBEST_KAFKA": f"127.0.0.1:{ports['SSL']}",
                "NEXTBEST_KAFKA_SECURITY": "SSL",
                "NEXTBEST_KAFKA_CERTIFICATE_FILE": str(client.certificate),
                "NEXTBEST_KAFKA_KEY_FILE": str(client.key),
            },
            {
                **tls,
                "NEXTBEST_KAFKA": f"127.0.0.1:{ports['SASL_SSL']}",
                "NEXTBEST_KAFKA_SECURITY": "SASL_SSL",
                "NEXTBEST_KAFKA_USER": "ali",
                "NEXTBEST_KAFKA_PASSWORD_FILE": str(folder / "password"),
            },
        )


@pytest.mark.parametrize(
    ("way", "mechanism"),
    [("by_certificate", "SCRAM-SHA-512"), ("by_password", "SCRAM-SHA-512"), ("by_password", "PLAIN")],
)
async def test_the_log_and_its_tools_get_in(secured: Secured, way: str, mechanism: str, namespace: str) -> None:
    environment = {**getattr(secured, way), "NEXTBEST_KAFKA_MECHANISM": mechanism}
    settings = Settings.from_environment({**environment, "NEXTBEST_NAMESPACE": namespace.rstrip(".")})
    log = log_of(settings, CLEAR)
    await log.start()
    try:
        await log.create(2)
        (position,) = await log.append([Record(VISITOR_LOG, "a:a1", b"{}")])
        found = [entry async for entry in log.read(VISITOR_LOG, position.partition, 0)]
        assert [(entry.key, entry.value) for entry in found] == [("a:a1", b"{}")]
        await log.close_epoch()  # by the admin client
        await log.reopen_epoch()
    finally:
        await log.close()
    assert await group_members(settings.kafka, f"{namespace}folder", security=kafka_security(settings)) == []


@pytest.mark.parametrize("way", ["by_certificate", "by_password"])
def test_the_whole_works_on_it(secured: Secured, way: str, tmp_path: Path) -> None:
    up = begin(
        tmp_path / "data",
        **getattr(secured, way),
        NEXTBEST_PARTITIONS="2",
        NEXTBEST_NAMESPACE=way.replace("_", "-"),
    )
    try:
        up.wait_ready()
        up.track("a1", "m1")
        until(lambda: up.event_count("a1") == 1, "the event reaches its state through Faust's consumer")
        code, said, _ = command("epoch", "--data-dir", str(tmp_path / "data"), "show")
        assert code == 0, said
        assert PASSWORD not in "".join(up.said) + said
    finally:
        stop(up)


def command(*arguments: str, **settings: str) -> tuple[int, str, float]:
    """A command of ours: how it ended, what it said, and after how long."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**environment, "PYTHONPATH": str(ROOT), **settings},
        check=False,
    )
    return done.returncode, done.stderr + done.stdout, time.monotonic() - began


def shut_out(secured: Secured, wrong: str, folder: Path) -> dict[str, str]:
    theirs = Authority.make(folder / "theirs")
    stranger = theirs.sign("client")
    (folder / "password").write_text("wrong-pass")
    by_certificate, by_password = dict(secured.by_certificate), dict(secured.by_password)
    if wrong == "ca":
        return by_certificate | {"NEXTBEST_KAFKA_CA_FILE": str(theirs.file)}
    if wrong == "name":
        return by_certificate | {"NEXTBEST_KAFKA_SERVER_NAME": ""}
    if wrong == "certificate":
        return by_certificate | {
            "NEXTBEST_KAFKA_CERTIFICATE_FILE": str(stranger.certificate),
            "NEXTBEST_KAFKA_KEY_FILE": str(stranger.key),
        }
    if wrong == "no certificate":
        return by_certificate | {"NEXTBEST_KAFKA_CERTIFICATE_FILE": "", "NEXTBEST_KAFKA_KEY_FILE": ""}
    if wrong == "plain":
        return {"NEXTBEST_KAFKA": by_certificate["NEXTBEST_KAFKA"]}
    if wrong == "tls":
        return by_certificate | {"NEXTBEST_KAFKA": secured.plain}
    if wrong == "password":
        return by_password | {"NEXTBEST_KAFKA_PASSWORD_FILE": str(folder / "password")}
    assert wrong == "mechanism"
    return by_password | {"NEXTBEST_KAFKA_MECHANISM": "SCRAM-SHA-256"}


@pytest.mark.parametrize(
    ("wrong", "name", "words"),
    [
        ("ca", "api", "signed by nobody we trust: give the CA that signed it in NEXTBEST_KAFKA_CA_FILE"),
        ("ca", "folder", "signed by nobody we trust: give the CA that signed it in NEXTBEST_KAFKA_CA_FILE"),
        ("ca", "learner", "signed by nobody we trust: give the CA that signed it in NEXTBEST_KAFKA_CA_FILE"),
        ("ca", "up", "signed by nobody we trust: give the CA that signed it in NEXTBEST_KAFKA_CA_FILE"),
        ("name", "folder", "say that name in NEXTBEST_KAFKA_SERVER_NAME"),
        ("certificate", "folder", "look at NEXTBEST_KAFKA_CERTIFICATE_FILE"),
        ("no certificate", "folder", "look at NEXTBEST_KAFKA_CERTIFICATE_FILE"),
        ("password", "folder", "it refuses user ali or the password: look at NEXTBEST_KAFKA_USER"),
        ("plain", "folder", "it speaks TLS on that port: set NEXTBEST_KAFKA_SECURITY to SSL or SASL_SSL"),
        ("tls", "folder", "it does not speak TLS on that port: look at NEXTBEST_KAFKA and NEXTBEST_KAFKA_SECURITY"),
        ("mechanism", "folder", "it does not take SCRAM-SHA-256: look at NEXTBEST_KAFKA_MECHANISM"),
    ],
)
def test_who_is_shut_out_ends_with_a_sentence(
    secured: Secured, tmp_path: Path, redis_url: str, wrong: str, name: str, words: str
) -> None:
    settings = shut_out(secured, wrong, tmp_path)
    code, said, took_s = command(
        name, **settings, NEXTBEST_REDIS=redis_url, NEXTBEST_DATA_DIR=str(tmp_path / "data")
    )
    assert code == 1, said
    assert f"nextbest: Kafka at {settings['NEXTBEST_KAFKA']} cannot be used: " in said
    assert words in said
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert "wrong-pass" not in said
    assert took_s < SECONDS
