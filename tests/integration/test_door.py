"""Nobody falls over at the door: while somebody attacks, others are decided for as before, and memory stays."""

from __future__ import annotations

import json
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.limits.body_room import MIN_ROOM_BYTES
from tests.integration.site import Site
from tests.running import ROOT, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = (
    """
placements:
  hero:
    content: [red"""
    + "".join(f", arm{n}" for n in range(30))
    + """]
    default: red
content:
  red: {body: {}}
"""
    + "".join(
        f"  arm{n}: {{body: {{}}, when: \"context.page.path.startsWith('/x{n}') || 'b{n}' in context.a\"}}\n"
        for n in range(30)
    )
    + """
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""
)
N_DECISIONS = 40
EVENT = {"type": "track", "event": "Viewed", "anonymousId": "a1"}
GROWTH_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Under the limit of open files that most machines have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        with Site.open(tmp_path_factory, CATALOG) as site:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            decided_s(site)  # everything is loaded
            yield site
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def decided_s(site: Site) -> float:
    """How long it took to decide ``N_DECISIONS`` times, each over a connection of its own."""
    began = time.perf_counter()
    for n in range(N_DECISIONS):
        decision = site.decide({"anonymousId": f"a{n}"}, "hero", context={"page": {"path": "/x3"}, "a": ["b4"]})
        assert decision["contentId"] in ("red", "arm3", "arm4")
    return time.perf_counter() - began


def is_collected(site: Site) -> bool:
    """Whether a body that takes room is taken."""
    try:
        return bool(site.collect({**EVENT, "properties": {"x": "x" * 20_000}})["accepted"] == 1)
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return False
        raise


def memory_bytes(site: Site) -> int:
    text = Path(f"/proc/{site.up.pids['api']}/status").read_text()
    return 1024 * int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])


def port_of(site: Site) -> int:
    return int(site.up.url.rpartition(":")[2])


@contextmanager
def attacked(port: int, name: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.integration.attacks", name, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str], stop: bool = False) -> Counter[str]:
    assert process.stdout is not None
    assert process.stdin is not None
    if stop:
        process.stdin.write("\n")
        process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return Counter(answer)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("endless_header", {"431", "closed"}),
        ("endless_headers", {"431", "closed"}),
        ("endless_target", {"431", "closed"}),
        ("endless_trailer", {"401", "431", "closed"}),
        ("pipelined", {"closed"}),
        ("expanding", {"413"}),
        ("many_values", {"413, 400"}),
    ],
)
def test_others_are_decided_for_while_somebody_attacks(site: Site, name: str, allowed: set[str]) -> None:
    quiet = statistics.median([decided_s(site) for _ in range(3)])
    before = largest = memory_bytes(site)
    under_attack = []
    with attacked(port_of(site), name) as process:
        while process.poll() is None:
            under_attack.append(decided_s(site))
            largest = max(largest, memory_bytes(site))
        answers = told(process)
    assert set(answers) <= allowed
    assert max(under_attack) <= 10 * quiet + 2
    assert largest - before <= GROWTH_BYTES


def test_what_rules_do_not_name_costs_next_to_nothing(site: Site) -> None:
    paired: list[float] = []
    for _ in range(5):
        spent = []
        for n_maps in (0, 990):
            context = {"page": {"path": "/x3"}, "other": [{}] * n_maps}
            began = time.perf_counter()
            for n in range(20):
                site.decide({"anonymousId": f"a{n}"}, "hero", context=context)
            spent.append(time.perf_counter() - began)
        paired.append(spent[1] / spent[0])
    assert statistics.median(paired) < 4, "copied for each rule it costs thirty times as much"


def test_who_is_slow_is_closed(site: Site) -> None:
    began = time.monotonic()
    with (
        attacked(port_of(site), "slow_head") as head,
        attacked(port_of(site), "slow_body") as body,
        attacked(port_of(site), "silent") as silent,
    ):
        assert told(head) == {"408": 1}
        assert told(body) == {"408": 1}
        assert told(silent) == {"closed": 1}
    assert time.monotonic() - began > 5, "a client on a poor line has its time"
    decided_s(site)


def test_bodies_that_lack_their_end_fill_no_memory(site: Site) -> None:
    before = memory_bytes(site)
    with attacked(port_of(site), "withheld") as process:
        assert told(process)["held"] == 60
        decided_s(site)
        assert memory_bytes(site) - before <= MIN_ROOM_BYTES + GROWTH_BYTES
    until(lambda: is_collected(site), "room is given back")


def test_half_open_connections_keep_nobody_out(site: Site) -> None:
    before = memory_bytes(site)
    with attacked(port_of(site), "half_open") as process:
        assert told(process)["held"] > 1_024, "more than there are descriptors"
        decided_s(site)
        assert memory_bytes(site) - before <= GROWTH_BYTES


def test_one_address_takes_the_place_of_no_other(site: Site) -> None:
    with attacked(port_of(site), "one_address") as process:
        told(process)
        decided_s(site)
        answers = told(process, stop=True)
    assert answers["waits"] <= 256
    assert answers["429"] + answers["closed"] >= 128


@pytest.mark.parametrize("parts", [1, 3])
def test_who_offers_another_protocol_is_answered_in_this_one(site: Site, parts: int) -> None:
    """Java's client and ``curl --http2`` offer HTTP/2 with each request over plain HTTP."""
    body = json.dumps({"visitor": {"anonymousId": "java"}, "placements": ["hero"]}).encode()
    head = (
        b"POST /v1/decide HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABk\r\nAuthorization: Bearer pk_dev\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    host, port = site.up.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for _ in range(2):  # and the connection goes on
            pieces = [head + body] if parts == 1 else [head[:9], head[9:], body]
            for piece in pieces:
                connection.sendall(piece)
            answer = b""
            while b'"catalogVersion"' not in answer:
                received = connection.recv(65_536)
                assert received, answer
                answer += received
            assert answer.startswith(b"HTTP/1.1 200")
