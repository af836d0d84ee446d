"""A log-in changes nothing that is drawn: the same sticky arm, the same side of the holdout, whenever it comes.

Each visitor, of whom nothing is recorded, is decided for by the anonymous id, then a moment later by both ids:
before the folder has run, while it runs, while it is stopped. Recorded wins, else the hash of the unit.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from eventlog.opening import open_log
from eventlog.topics import VISITOR_LOG, Topics
from tests.requirements import require
from tests.running import Up, alive, start, stop, until
from tests.standing_still import stand_still

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

N_VISITORS = 2_000
N_CONNECTIONS = 48
PAUSES_S = (0.0, 0.001, 0.005, 0.05)
NAMESPACE = "login"

CATALOG = """
placements:
  kept:
    {{content: [a1, a2, a3, a4, a5], default: a1, sticky: true, window: 1h}}
  tested:
    {{content: [b1, b2, b3, b4, b5], default: b1, holdout: 0.5, window: 1h}}
  both:
    {{content: [c1, c2, c3, c4, c5], default: c1, sticky: true, holdout: 0.5, control: uniform, window: 1h}}
content:
{content}
sources:
  usual: {{write_keys: [pk_usual], server_keys: [sk_dev], consent_default: granted}}
  cookie: {{write_keys: [pk_cookie], consent_default: granted, after_login: same_person}}
"""
CONTENT = "\n".join(f"  {kind}{n}: {{type: html, body: <p>{kind}{n}</p>}}" for kind in "abc" for n in range(1, 6))


class Way(NamedTuple):
    """How one visitor's log-in goes: after which pause, how decisions are shown, by the key of which source."""

    pause_s: float
    shown: str
    key: str


WAYS = tuple(map(Way._make, product(PAUSES_S, ("at once", "deferred", "activated"), ("pk_usual", "pk_cookie"))))


class Connection:
    """One keep-alive connection: the clients share two cores with the servers they measure."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        host, port = url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def post(self, path: str, body: Any, key: str) -> Any:
        data = json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1", "Host: up", f"Authorization: Bearer {key}", f"Content-Length: {len(data)}")
        self._writer.write("\r\n".join((*head, "", "")).encode() + data)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(answer.split(b" ", 2)[1])
        length = 0 if status == 204 else int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
        found = await self._reader.readexactly(length)
        assert status in (200, 204), found
        return json.loads(found or b"null")

    def close(self) -> None:
        self._writer.close()


Drawn = dict[str, tuple[str, bool]]
"""By placement: the content where it sticks, and whether it is the control's."""


class Person:
    """One visitor: what was drawn for them at first, and by whom it was changed later."""

    def __init__(self, number: int, way: Way) -> None:
        self.way, self.turn = way, number // len(WAYS)
        self.anonymous = {"anonymousId": f"browser-{number}"}
        self.both = {**self.anonymous, "userId": f"account-{number}"}
        self.user = {"userId": f"account-{number}"}
        self.first: Drawn = {}
        self.changed: list[tuple[str, Way]] = []

    async def logs_in(self, line: Connection) -> None:
        """Decided for before and, after the pause, behind the log-in."""
        self.first, ids = await self._decide(line, self.anonymous)
        if self.way.shown == "activated":
            for decision_id in ids:
                await line.post(f"/v1/decisions/{decision_id}/activate", {}, self.way.key)
        if self.way.pause_s:
            await asyncio.sleep(self.way.pause_s)
        await self._comes_again(line, self.both, "at the log-in")
        if self.turn % 2:  # the one id may be a redirect already, and what it led to not be there yet
            await asyncio.sleep(self.way.pause_s)
            await self._comes_again(line, self.both, "behind the log-in")

    async def is_here_later(self, line: Connection) -> None:
        """Decided for when all is folded; half of those who were not seen since come on another device."""
        if self.turn % 4 == 0:
            await self._comes_again(line, self.user, "on another device")
        else:
            await self._comes_again(line, self.both, "a while later")

    async def _comes_again(self, line: Connection, visitor: dict[str, str], when: str) -> None:
        drawn, _ = await self._decide(line, visitor)
        self.changed += [(f"{name} {when}", self.way) for name in self.first if drawn[name] != self.first[name]]

    async def _decide(self, line: Connection, visitor: dict[str, str]) -> tuple[Drawn, list[str]]:
        body = {
            "visitor": visitor,
            "placements": ["kept", "tested", "both"],
            "activate": self.way.shown == "at once",
        }
        decisions = (await line.post("/v1/decide", body, self.way.key))["decisions"]
        assert {decision["tier"] for decision in decisions} == {"personalised"}
        drawn = {each["placement"]: (each["contentId"], each["holdout"]) for each in decisions}
        drawn["tested"] = ("", drawn["tested"][1])  # what does not stick is drawn anew
        return drawn, [decision["decisionId"] for decision in decisions]


async def visit(up: Up, people: list[Person], *steps: Any) -> None:
    """Let each of the people take the steps, a limited number of them at once."""
    waiting = iter(people)

    async def serve() -> None:
        line = await Connection.open(up.url)
        for person in waiting:
            for step in steps:
                await step(person, line)
        line.close()

    await asyncio.gather(*(serve() for _ in range(N_CONNECTIONS)))


async def n_unfolded(up: Up) -> int:
    """Entries of the visitor log that the folder has not committed yet."""
    log = open_log(up.redis_url(), Topics(prefix=f"{NAMESPACE}."))
    try:
        ends, done = await log.end_offsets(VISITOR_LOG), await log.committed_offsets("folder", VISITOR_LOG)
        return sum(end - (offset or 0) for end, offset in zip(ends, done, strict=True))
    finally:
        await log.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    require("redis")
    catalog: Path = tmp_path_factory.mktemp("catalog")
    (catalog / "shop.yaml").write_text(CATALOG.format(content=CONTENT))
    settings = {
        # Others use this machine too: the budgets of a quiet one are measured by the benchmarks.
        "NEXTBEST_REDIS_TIMEOUT_MS": "1000",
        "NEXTBEST_DEADLINE_MS": "5000",
        "NEXTBEST_NAMESPACE": NAMESPACE,
        "NEXTBEST_LEASE_MS": "60000",  # whoever is stopped goes on where it stood
    }
    running = start(tmp_path_factory.mktemp("data"), "--catalog", str(catalog), **settings)
    yield running
    stop(running)


@pytest.mark.parametrize("folder", ["running", "stopped"])
def test_nothing_drawn_changes_at_a_log_in(up: Up, folder: str) -> None:
    offset = 0 if folder == "running" else N_VISITORS
    people = [Person(offset + n, way) for n, way in enumerate(islice(cycle(WAYS), N_VISITORS))]
    pid = up.pids["folder"]
    if folder == "stopped":
        stand_still(pid)
    try:
        asyncio.run(visit(up, people, Person.logs_in))
        if folder == "stopped":
            assert asyncio.run(n_unfolded(up)) > N_VISITORS, "nothing is folded meanwhile"
    finally:
        if folder == "stopped" and alive(pid):
            os.kill(pid, signal.SIGCONT)

    until(lambda: asyncio.run(n_unfolded(up)) == 0, "all is folded")
    asyncio.run(visit(up, [person for person in people if person.turn % 2 == 0], Person.is_here_later))
    changed = Counter(change for person in people for change in person.changed)
    assert not changed, f"{sum(bool(person.changed) for person in people)} of {N_VISITORS} changed: {changed}"
    for name in people[0].first:
        assert len({person.first[name] for person in people}) > 1, "there is something that could change"
