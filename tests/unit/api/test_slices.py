"""Long work lets others have their turn, however many do long work at once."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence

import pytest

from api.limits import slices as module
from api.limits.slices import Turnstile
from eventlog.port import Record
from personalization.events.event import Track
from tests.of_type import of_type
from tests.unit.api.site import WRITE, Site


async def test_in_each_turn_of_the_loop_one_goes_on_in_the_order_they_came() -> None:
    turnstile = Turnstile()
    done: list[str] = []

    async def work(name: str) -> None:
        for _ in range(3):
            await turnstile.turn()
            done.append(name)

    workers = [asyncio.create_task(work(name)) for name in "abc"]
    seen = []
    while not all(worker.done() for worker in workers):
        await asyncio.sleep(0)
        seen.append(len(done))
    assert done == list("abcabcabc")
    assert max(later - earlier for earlier, later in itertools.pairwise(seen)) == 1


async def test_who_leaves_holds_nobody_up() -> None:
    turnstile = Turnstile()
    first, second = asyncio.create_task(turnstile.turn()), asyncio.create_task(turnstile.turn())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 5)
    await asyncio.wait_for(turnstile.turn(), 5)


async def test_others_are_answered_while_a_batch_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_S", 0.0)  # every part is a slice, on whatever machine
    events = [
        {"type": "track", "event": "Viewed", "anonymousId": f"a{n}", "messageId": f"m{n}"} for n in range(300)
    ]
    batch = asyncio.create_task(site.collect(*events))
    n_decided = 0
    while not batch.done():
        assert (await site.decide()).status_code == 200
        n_decided += 1
        await asyncio.sleep(0)  # a real request waits for Redis at least
    assert n_decided > 5
    assert (await batch).json()["accepted"] == 300
    tracked = [of_type(Track, entry.event).message_id for _, entry in site.entries()]
    assert tracked == [f"m{n}" for n in range(300)], "in the order they were sent"


async def test_of_a_batch_in_slices_each_bad_event_is_told_by_its_place_and_no_good_one_is_lost(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE_S", 0.0)
    padding = "x" * 400
    events = [
        {"type": "page", "anonymousId": "a", "messageId": f"m{n}", "properties": {"x": padding}}
        if n % 3
        else {"type": "page", "anonymousId": [n]}
        for n in range(400)
    ]
    assert len(json.dumps(events)) > 64 * 1024
    answer = (await site.collect(*events)).json()
    assert [each["index"] for each in answer["rejected"]] == list(range(0, 400, 3))
    assert {each["field"].split(".")[-1] for each in answer["rejected"]} == {"anonymousId"}
    assert answer["accepted"] == len(site.log.records) == 400 - len(range(0, 400, 3))


async def test_a_large_batch_that_is_no_json_is_refused_whole(site: Site) -> None:
    good = json.dumps({"type": "page", "anonymousId": "a", "properties": {"x": "x" * 1000}})
    body = '{"events":[' + ",".join([good] * 100) + ',{"type":"page",,}]}'
    answer = await site.client.post("/v1/events", content=body, headers=WRITE)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")
    assert not site.log.records


async def test_a_batch_is_in_the_log_whole_or_not_at_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_S", 0.0)
    appended: list[int] = []

    async def append(records: Sequence[Record]) -> list[object]:
        appended.append(len(records))
        return []

    monkeypatch.setattr(site.log, "append", append)
    await site.collect(*[{"type": "page", "anonymousId": f"a{n}"} for n in range(500)])
    assert appended == [500], "one call, which the log takes or refuses"
