"""Real servers for tests: one Redis and one Apache Kafka a session, ended by the pid they started with."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest

from background.ports import free_port
from state.embedded import EmbeddedRedis
from tests.requirements import missing, require

ROOT = Path(__file__).resolve().parent.parent
KAFKA_LIBS = ROOT / ".cache" / "kafka" / "libs"
KAFKA_READY_TIMEOUT_S = 120.0
JAVA_OPTIONS = ("-Xms256m", "-Xmx512m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A broker that lives for minutes beside what it serves: quick to start, few threads of its own."""


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One real Redis for the session."""
    require("redis")
    with EmbeddedRedis(tmp_path_factory.mktemp("redis"), port=free_port()) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The session's Redis, emptied before each test."""
    with socket.create_connection(("127.0.0.1", redis_server.port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\nSCRIPT FLUSH\r\n")
        received = b""
        while received.count(b"+OK") < 2:
            received += connection.recv(64)
    return redis_server.url


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """One real Apache Kafka broker (KRaft) for the session, whichever of its workers ask: its ``host:port``."""
    require("kafka")
    libs = kafka_libs()
    folder = tmp_path_factory.mktemp("kafka")
    if not hasattr(request.config, "workerinput"):
        with kafka_broker(libs, folder) as address:
            yield address
        return
    with shared(tmp_path_factory.getbasetemp().parent, partial(start_kafka, libs, folder)) as address:
        yield address


_STARTED: list[subprocess.Popen[bytes]] = []
"""Nobody waits for these: whoever ends them may be another process."""


@contextlib.contextmanager
def shared(folder: Path, start: Callable[[], tuple[subprocess.Popen[bytes], str]]) -> Iterator[str]:
    """The address of what ``start`` starts: the first of several processes does, the last to leave ends it.

    Whoever uses it holds a lock, which a process that dies lets go of.

    Parameters
    ----------
    folder
        Theirs alone.
    start
        Gives the process, which outlives its parent, and the address.
    """
    told = folder / "shared-server"
    with (folder / "coming-and-going").open("w") as turn, (folder / "using").open("w") as using:
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(using, fcntl.LOCK_SH)
        try:
            if not told.exists():
                process, started = start()
                _STARTED.append(process)
                told.write_text(f"{process.pid} {started}")
        finally:
            fcntl.flock(turn, fcntl.LOCK_UN)
        pid, address = told.read_text().split()
        try:
            yield address
        finally:
            fcntl.flock(turn, fcntl.LOCK_EX)
            with contextlib.suppress(BlockingIOError):  # another one uses it
                fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
                told.unlink()
                os.kill(int(pid), signal.SIGTERM)


@pytest.fixture
def namespace() -> str:
    """A topic prefix of its own for each test on a shared server."""
    return f"t{uuid.uuid4().hex[:10]}."


def kafka_libs() -> Path:
    """Kafka's jars, fetched once by Maven (several checkouts or workers may ask at the same time)."""
    done = KAFKA_LIBS.parent / "complete"
    KAFKA_LIBS.parent.mkdir(parents=True, exist_ok=True)
    with (KAFKA_LIBS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pom = ROOT / "deploy" / "kafka" / "pom.xml"
        if not done.exists() or done.read_text() != pom.read_text():
            fetch = subprocess.run(
                [
                    "mvn",
                    "-q",
                    "-B",
                    "-f",
                    str(pom),
                    "dependency:copy-dependencies",
                    f"-DoutputDirectory={KAFKA_LIBS}",
                ],
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            if fetch.returncode:
                missing(
                    "Apache Kafka",
                    f"mvn could not fetch its jars: {fetch.stdout[-500:]}{fetch.stderr[-500:]}",
                )
            done.write_text(pom.read_text())
    return KAFKA_LIBS


@contextlib.contextmanager
def kafka_broker(
    libs: Path,
    directory: Path,
    more_listeners: Mapping[str, int] = MappingProxyType({}),
    more_properties: str = "",
    *format_options: str,
) -> Iterator[str]:
    """Run one broker in ``directory`` until the block ends; the ``host:port`` of its plain listener.

    The parameters are those of ``start_kafka``.
    """
    process, address = start_kafka(libs, directory, more_listeners, more_properties, *format_options)
    try:
        yield address
    finally:
        _end(process)


def start_kafka(
    libs: Path,
    directory: Path,
    more_listeners: Mapping[str, int] = MappingProxyType({}),
    more_properties: str = "",
    *format_options: str,
) -> tuple[subprocess.Popen[bytes], str]:
    """Start one broker in ``directory``: its process, and the ``host:port`` of its plain listener.

    Parameters
    ----------
    more_listeners
        Port by protocol (``SSL``, ``SASL_SSL``).
    format_options
        More arguments of ``kafka.tools.StorageTool format``.
    """
    port, controller = free_port(), free_port()
    listeners = ",".join(f"{name}://127.0.0.1:{at}" for name, at in {"PLAINTEXT": port, **more_listeners}.items())
    protocols = ",".join(f"{name}:{name}" for name in ("PLAINTEXT", *more_listeners))
    properties = directory / "server.properties"
    properties.write_text(
        f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}
log.dirs={directory / "data"}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
{more_properties}"""
    )
    java = ["java", *JAVA_OPTIONS, "-cp", f"{libs}/*"]
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "0")
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), *format_options],
        capture_output=True,
        check=True,
        timeout=120,
    )
    log = directory / "broker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*java, "kafka.Kafka", str(properties)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_port(port, process, log)
    except BaseException:
        _end(process)
        raise
    return process, f"127.0.0.1:{port}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + KAFKA_READY_TIMEOUT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Kafka did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)


if __name__ == "__main__":  # a broker to try things on: python -m tests.servers
    with tempfile.TemporaryDirectory() as folder, kafka_broker(kafka_libs(), Path(folder)) as where:
        print(where, os.getpid(), flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
