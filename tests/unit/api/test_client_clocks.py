"""Clients' clocks: transit shifts nothing, a wrong clock does, and an event that was moved is told so."""

from __future__ import annotations

import pytest

from tests.unit.api.site import NOW, SERVER, WRITE, Site

MINUTE, DAY = 60_000, 24 * 3_600_000
TRACK = {"type": "track", "event": "Viewed", "anonymousId": "a1", "messageId": "m1"}


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "occurred", "codes"),
    [
        # On its way for up to five minutes: the client's word stands.
        (NOW - 5_000, NOW, NOW - 5_000, []),
        (NOW - 5_000, NOW - 1, NOW - 5_000, []),
        (NOW - 90_000, NOW - 60_000, NOW - 90_000, []),
        (NOW - 6 * MINUTE, NOW - 5 * MINUTE, NOW - 6 * MINUTE, []),
        # Further behind: its clock is slow.
        (NOW - 6 * MINUTE, NOW - 5 * MINUTE - 1, NOW - MINUTE + 1, ["clock_corrected"]),
        (NOW - 3 * DAY - 5_000, NOW - 3 * DAY, NOW - 5_000, ["clock_corrected"]),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:05Z", NOW - 5_000, ["clock_corrected"]),
        # Ahead of us: it is fast.
        (NOW + 95_000, NOW + 100_000, NOW - 5_000, ["clock_corrected"]),
        (NOW + DAY - 5_000, NOW + DAY, NOW - 5_000, ["clock_corrected"]),
        # By less than a second: corrected, but nobody's fault.
        (NOW - 5_000, NOW + 300, NOW - 5_300, []),
        (NOW + 300, None, NOW, []),
        # What cannot be, after all that.
        (NOW + 5_000, None, NOW, ["in_future"]),
        (NOW + 30_000, NOW - 60_000, NOW, ["in_future"]),
        (NOW - 2 * DAY, None, NOW - DAY, ["too_old"]),
        (NOW - 2 * DAY, NOW, NOW - DAY, ["too_old"]),
        (NOW - 2 * DAY, NOW + 5_000, NOW - DAY, ["clock_corrected", "too_old"]),
        (NOW - DAY, None, NOW - DAY, []),
    ],
)
async def test_transit_shifts_nothing_a_wrong_clock_does_and_who_was_moved_is_told(
    site: Site, timestamp: int | str | None, sent_at: int | str | None, occurred: int, codes: list[str]
) -> None:
    for body in (
        {"events": [{**TRACK, "timestamp": timestamp}], "sentAt": sent_at},
        {"events": [{**TRACK, "originalTimestamp": timestamp, "sentAt": sent_at}], "sentAt": NOW - DAY},
    )[: 1 + (sent_at is not None)]:
        site.log.records.clear()
        answer = (await site.client.post("/v1/events", json=body, headers=WRITE)).json()
        ((_, entry),) = site.entries()
        assert (entry.received_at_ms, entry.occurred_at_ms) == (NOW, occurred)
        assert answer["accepted"] == 1
        assert [(w["index"], w["code"]) for w in answer["warnings"]] == [(0, code) for code in codes]
        assert all(w["field"].startswith("events[0].") and w["message"] for w in answer["warnings"])


async def test_warnings_name_the_events_they_are_about(site: Site) -> None:
    late = {**TRACK, "timestamp": NOW - 2 * DAY}
    answer = (await site.collect(TRACK, late, {**late, "type": "bake"}, TRACK, late)).json()
    assert answer["accepted"] == 4
    assert [(w["index"], w["field"]) for w in answer["warnings"]] == [
        (1, "events[1].timestamp"),
        (4, "events[4].timestamp"),
    ]


async def test_a_single_event_is_warned_of_by_its_own_fields(site: Site) -> None:
    event = {**TRACK, "timestamp": NOW + 10_000}
    answer = (await site.client.post("/v1/events", json=event, headers=WRITE)).json()
    assert [(w["index"], w["field"], w["code"]) for w in answer["warnings"]] == [(0, "timestamp", "in_future")]


SECONDS = [1_700_000_000, 1_700_000_000.25, 0, 99_999_999_999]
BEFORE = [-1, -1_700_000_000_000, "1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]


@pytest.mark.parametrize("field", ["timestamp", "sentAt"])
@pytest.mark.parametrize("stamp", SECONDS + BEFORE)
async def test_seconds_and_times_before_1970_are_refused_by_write_key(
    site: Site, stamp: int | str | float, field: str
) -> None:
    event = {**TRACK, "timestamp": NOW - 1_000, field: stamp}
    response = await site.collect(event)
    assert response.status_code == 400
    (rejected,) = response.json()["rejected"]
    assert rejected["field"] == f"events[0].{field}"
    assert ("looks like seconds" if stamp in SECONDS else "before 1970") in rejected["message"]
    assert "milliseconds" in rejected["message"]
    assert site.log.records == []
    assert (await site.decide(events=[event])).status_code == 400


@pytest.mark.parametrize("stamp", SECONDS + BEFORE)
async def test_an_import_is_only_warned_of_them(site: Site, stamp: int | str | float) -> None:
    event = {**TRACK, "timestamp": stamp, "sentAt": 5}
    response = await site.client.post("/v1/events", json=event, headers=SERVER)
    answer = response.json()
    assert answer["accepted"] == 1
    (warning,) = answer["warnings"]
    assert (warning["field"], warning["code"]) == (
        "timestamp",
        "looks_like_seconds" if stamp in SECONDS else "before_1970",
    )
    assert site.entries()[0][1].occurred_at_ms == (int(stamp) if stamp in SECONDS else 0)


async def test_imports_may_be_old_and_never_lie_in_the_future(site: Site) -> None:
    events = [{**TRACK, "timestamp": stamp} for stamp in ("2020-01-01T00:00:00Z", "1971-01-01", NOW + 60_000)]
    answer = (await site.client.post("/v1/events", json={"events": events}, headers=SERVER)).json()
    assert [entry.occurred_at_ms for _, entry in site.entries()] == [1_577_836_800_000, 31_536_000_000, NOW]
    assert [(w["index"], w["code"]) for w in answer["warnings"]] == [(2, "in_future")]


async def test_events_sent_along_with_a_decide_are_told_of_too(site: Site) -> None:
    event = {**TRACK, "timestamp": NOW + 95_000, "sentAt": NOW + 100_000}
    body = (await site.decide(events=[event])).json()
    assert [(w["field"], w["code"]) for w in body["warnings"]] == [("events[0].timestamp", "clock_corrected")]
    assert site.spool.entries()[0][1].occurred_at_ms == NOW - 5_000
