"""``POST /v1/events``: validated one by one, acknowledged by the log before 200."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from personalization.errors import LogFull, Unavailable
from personalization.events.event import Alias, Identify, Link, Track
from tests.of_type import of_type
from tests.unit.api.site import NOW, SERVER, WRITE, Site

TRACK = {"type": "track", "event": "Viewed", "anonymousId": "a1", "messageId": "m1"}


async def test_one_event_or_several(site: Site) -> None:
    for body in (TRACK, {"events": [TRACK, TRACK]}):
        response = await site.client.post("/v1/events", json=body, headers=WRITE)
        assert response.status_code == 200
        assert response.json() == {
            "accepted": len(body.get("events", [1])),
            "rejected": [],
            "warnings": [],
        }
    assert len(site.log.records) == 3


async def test_the_collector_stamps_time_and_catalog(site: Site) -> None:
    await site.collect({**TRACK, "properties": {"n": 1}, "traits": {"x": 1}})
    ((key, entry),) = site.entries()
    assert key == "a:a1"
    assert (entry.received_at_ms, entry.occurred_at_ms, entry.catalog_version) == (NOW, NOW, 12)
    assert entry.event == Track(message_id="m1", anonymous_id="a1", event="Viewed", properties={"n": 1})


async def test_good_ones_are_kept_and_bad_ones_named_by_index_and_field(site: Site) -> None:
    response = await site.collect(
        TRACK,
        {**TRACK, "event": None},
        {**TRACK, "type": "bake"},
        {**TRACK, "anonymousId": None},
        {**TRACK, "properties": [1]},
        {**TRACK, "timestamp": "yesterday"},
        {**TRACK, "anonymousId": "x" * 257},
        {**TRACK, "anonymousId": "x\x00"},
        {**TRACK, "properties": {"big": 2**70}},
        {**TRACK, "properties": {"long": "x" * 40_000}},
        {"type": "alias", "anonymousId": "a"},
        {"type": "group", "anonymousId": "a"},
        17,
    )
    assert response.status_code == 200
    body = response.json()
    assert body["accepted"] == 1
    assert [(error["index"], error["field"]) for error in body["rejected"]] == [
        (1, "events[1].event"),
        (2, "events[2].type"),
        (3, "events[3].anonymousId"),
        (4, "events[4].properties"),
        (5, "events[5].timestamp"),
        (6, "events[6].anonymousId"),
        (7, "events[7].anonymousId"),
        (8, "events[8].properties.big"),
        (9, "events[9]"),
        (10, "events[10].previousId"),
        (11, "events[11].groupId"),
        (12, "events[12]"),
    ]
    assert all(error["code"] and error["message"] for error in body["rejected"])
    assert len(site.log.records) == 1


async def test_nothing_acceptable_is_400_with_the_same_list(site: Site) -> None:
    response = await site.collect({**TRACK, "event": ""}, {**TRACK, "userId": 7.5})
    assert response.status_code == 400
    body = response.json()
    assert body["accepted"] == 0
    assert [error["field"] for error in body["rejected"]] == ["events[0].event", "events[1].userId"]
    assert (body["code"], body["field"]) == ("missing_field", "events[0].event")
    assert body["requestId"]


@pytest.mark.parametrize(
    ("timestamp", "occurred"),
    [
        (None, NOW),
        (NOW - 5_000, NOW - 5_000),
        ("2023-11-14T22:13:15.000Z", NOW - 5_000),
        ("2023-11-14T22:13:15.000", NOW - 5_000),
        ("2023-11-14T23:13:15.000+01:00", NOW - 5_000),
    ],
)
async def test_the_clients_time_comes_as_text_or_milliseconds(
    site: Site, timestamp: int | str | None, occurred: int
) -> None:
    await site.collect({**TRACK, "timestamp": timestamp})
    assert site.entries()[0][1].occurred_at_ms == occurred


async def test_imports_by_server_key_may_be_older(site: Site) -> None:
    event = {**TRACK, "timestamp": "2020-01-01T00:00:00Z"}
    await site.client.post("/v1/events", json=event, headers=SERVER)
    assert site.entries()[0][1].occurred_at_ms == 1_577_836_800_000


async def test_events_that_join_two_ids_append_a_link_keyed_by_the_losing_one(site: Site) -> None:
    await site.collect({"type": "identify", "anonymousId": "a1", "userId": "u1", "traits": {"age": 3}})
    assert [key for key, _ in site.entries()] == ["u:u1", "a:a1"]
    assert isinstance(site.entries()[0][1].event, Identify)
    assert site.entries()[1][1].event == Link(canonical="u:u1")


async def test_a_pair_linked_lately_is_not_linked_by_every_event(site: Site) -> None:
    both = {**TRACK, "userId": "u1"}
    await site.collect(both, both)
    await site.collect(both)
    links = [key for key, entry in site.entries() if isinstance(entry.event, Link)]
    assert links == ["a:a1", "a:a1"], "once per event of the first batch, never after it was acknowledged"


async def test_a_link_the_log_refused_is_sent_again(site: Site) -> None:
    both = {**TRACK, "userId": "u1"}
    site.log.error = Unavailable("away")
    assert (await site.collect(both)).status_code == 503
    site.log.error = None
    await site.collect(both)
    assert [key for key, _ in site.entries()] == ["u:u1", "a:a1"]


async def test_alias_links_the_previous_id(site: Site) -> None:
    await site.collect({"type": "alias", "userId": "u1", "previousId": "a9"})
    assert isinstance(site.entries()[0][1].event, Alias)
    assert [(key, entry.event) for key, entry in site.entries()[1:]] == [("a:a9", Link(canonical="u:u1"))]


async def test_of_two_anonymous_ids_the_smaller_wins(site: Site) -> None:
    await site.collect({"type": "alias", "anonymousId": "b", "previousId": "a"})
    assert site.entries()[1][0] == "a:b"


@pytest.mark.parametrize("error", [LogFull("full"), Unavailable("away")])
async def test_a_log_that_cannot_take_it_is_503_with_retry_after(site: Site, error: Exception) -> None:
    site.log.error = error
    response = await site.collect(TRACK)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["code"] in ("log_full", "unavailable")


async def test_gzip_is_taken_whatever_it_is_called(site: Site) -> None:
    for headers in ({"content-encoding": "gzip"}, {"content-type": "application/x-www-form-urlencoded"}):
        body = gzip.compress(json.dumps(TRACK).encode())
        response = await site.client.post("/v1/events", content=body, headers={**WRITE, **headers})
        assert response.status_code == 200


async def test_gzip_of_several_parts_loses_no_event_unsaid(site: Site) -> None:
    body = gzip.compress(json.dumps(TRACK).encode())
    response = await site.client.post("/v1/events", content=body + gzip.compress(b"  "), headers=WRITE)
    assert (response.status_code, response.json()["code"]) == (400, "bad_encoding")
    assert "compressed as a whole" in response.json()["message"]
    assert not site.log.records
    padded = await site.client.post("/v1/events", content=body + b"\0" * 8, headers=WRITE)
    assert padded.json()["accepted"] == 1


async def test_a_gzip_bomb_is_refused_without_being_unpacked(site: Site) -> None:
    body = gzip.compress(b" " * 50_000_000)
    response = await site.client.post("/v1/events", content=body, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (413, "body")


async def test_gzip_expands_no_more_than_events_do(site: Site) -> None:
    def packed(n_spaces: int, n_random: int = 0) -> bytes:
        event = {**TRACK, "properties": {"x": random.randbytes(n_random).hex()}}
        return gzip.compress(json.dumps({"events": [event]}).encode() + b" " * n_spaces)

    for body, status in ((packed(60_000), 200), (packed(3_000_000), 413), (packed(700_000, 14_000), 200)):
        response = await site.client.post("/v1/events", content=body, headers=WRITE)
        assert response.status_code == status, (len(body), response.text)
    assert len(site.log.records) == 2


@pytest.mark.parametrize("body", [b"\x1f\x8bnot gzip", gzip.compress(b'{"type":"track"}', mtime=0)[:-9]])
async def test_broken_gzip_is_named(site: Site, body: bytes) -> None:
    response = await site.client.post("/v1/events", content=body, headers=WRITE)
    assert (response.status_code, response.json()["code"]) == (400, "bad_encoding")


async def test_unknown_fields_are_ignored_and_counted(site: Site) -> None:
    from api.reading.wire import EVENT

    before = EVENT.n_unknown
    assert (await site.collect({**TRACK, "channel": "web"})).json()["accepted"] == 1
    assert EVENT.n_unknown == before + 1


async def test_message_ids_are_made_where_none_was_sent(site: Site) -> None:
    event = {name: value for name, value in TRACK.items() if name != "messageId"}
    await site.collect(event, event)
    ids = {of_type(Track, entry.event).message_id for _, entry in site.entries()}
    assert len(ids) == 2


async def test_too_many_events_at_once(site: Site) -> None:
    response = await site.collect(*([{}] * 2_001))
    assert (response.status_code, response.json()["field"]) == (400, "events")
