"""Every dialect collects alike: the same entries of the log, the same consent, the same no."""

from __future__ import annotations

import json
from typing import Any

import pytest

from personalization.errors import Unavailable
from personalization.events.event import Link, Track
from tests.contract.dialects.collecting import COLLECTING, Collecting
from tests.contract.dialects.folding import folded
from tests.contract.dialects.speakers import OwnSpeaker, ask
from tests.of_type import of_type
from tests.unit.api.site import NOW, WRITE, Site

TRACK: dict[str, Any] = {"type": "track", "event": "Viewed", "anonymousId": "a1", "messageId": "m1"}
EVENTS: tuple[dict[str, Any], ...] = (
    {**TRACK, "properties": {"n": 1}, "context": {"page": {"path": "/x"}, "ip": "192.0.2.1"}},
    {"type": "identify", "anonymousId": "a1", "userId": 7, "traits": {"plan": "pro"}, "messageId": "m2"},
    {"type": "page", "name": "Home", "anonymousId": "a1", "messageId": "m3", "timestamp": NOW - 1000},
    {"type": "group", "groupId": "g1", "userId": 7, "messageId": "m4", "traits": {"size": 3}},
    {"type": "alias", "previousId": "a2", "userId": 7, "messageId": "m5"},
)


@pytest.fixture(params=COLLECTING, ids=lambda each: each.name)
def collecting(request: pytest.FixtureRequest) -> Collecting:
    found: Collecting = request.param
    return found


async def test_all_dialects_log_the_same_of_an_event(site: Site) -> None:
    logged = []
    for each in COLLECTING:
        site.log.records.clear()
        assert (await each.send(site, *EVENTS)).status_code == 200
        logged.append(site.entries())
    assert len([entry for _, entry in logged[0] if not isinstance(entry.event, Link)]) == len(EVENTS)
    assert logged[1:] == logged[:1] * (len(COLLECTING) - 1)


async def test_a_bad_event_keeps_no_good_one_back_and_both_are_counted(site: Site, collecting: Collecting) -> None:
    await collecting.send(site, {**TRACK, "event": ""}, TRACK)
    ((key, entry),) = site.entries()
    assert (key, of_type(Track, entry.event).message_id) == ("a:a1", "m1")
    text = site.metrics.exposition().decode()
    for outcome in ("accepted", "rejected"):
        assert f'nextbest_events_total{{outcome="{outcome}"}} 1.0' in text


@pytest.mark.parametrize(
    "bad", ["NaN", "-Infinity", '"\\ud83d"', "[" * 40 + "]" * 40], ids=["NaN", "infinite", "half", "deep"]
)
@pytest.mark.parametrize("n_good", [2, 1_000], ids=["small", "large"])
async def test_a_value_that_json_lacks_keeps_no_good_event_back(
    site: Site, collecting: Collecting, bad: str, n_good: int
) -> None:
    """Python's encoder writes ``NaN``, JavaScript cuts texts within a character; clients send many at once."""
    good = [{**TRACK, "messageId": f"m{n}", "properties": {"n": "x" * 100}} for n in range(n_good)]
    texts = [json.dumps(each) for each in good]
    texts.insert(1, json.dumps({**TRACK, "properties": {"n": "BAD"}}).replace('"BAD"', bad))
    await collecting.send_texts(site, *texts)
    assert [of_type(Track, entry.event).message_id for _, entry in site.entries()] == [e["messageId"] for e in good]


async def test_what_is_sent_again_counts_once(site: Site, collecting: Collecting) -> None:
    site.log.error = Unavailable("away on purpose")
    refused = await collecting.send(site, TRACK)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    site.log.error = None
    for _ in range(2):
        assert (await collecting.send(site, TRACK)).status_code == 200
    assert folded(site).visitors["a:a1"].state.event_count == 1


async def test_an_impression_says_that_a_choice_was_shown(site: Site, collecting: Collecting) -> None:
    choice = await ask(OwnSpeaker(), site)
    shown = {**TRACK, "event": "Impression", "properties": {"decisionId": choice.decision_id}}
    assert (await collecting.send(site, shown)).status_code == 200
    exposures = folded(site).visitors["a:a1"].state.exposures
    assert {arm: exposure.total for arm, exposure in exposures.items()} == {choice.content_id: 1}


async def test_of_who_refuses_only_the_words_are_logged(site: Site, collecting: Collecting) -> None:
    context = {"consent": {"categoryPreferences": {"personalization": False}}}
    await collecting.send(site, {**TRACK, "context": context, "properties": {"secret": 1}})
    ((_, entry),) = site.entries()
    said = of_type(Track, entry.event)
    assert (said.event, said.properties) == ("Consent Updated", {"personalization": False})
    await collecting.send(site, TRACK)
    assert len(site.log.records) == 1, "who refused is not logged by any dialect from then on"


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic bm9ib2R5Og=="}]
)
async def test_nothing_is_taken_without_a_key(site: Site, collecting: Collecting, headers: dict[str, str]) -> None:
    response = await collecting.send(site, TRACK, headers=headers)
    assert response.status_code == 401
    assert {"code", "message"} <= response.json().keys()
    assert site.log.records == []


async def test_pages_of_any_origin_may_send(site: Site, collecting: Collecting) -> None:
    preflight = await site.client.options(collecting.path, headers={"Origin": "https://shop.example"})
    assert preflight.status_code == 204
    assert {"authorization", "content-type"} <= set(preflight.headers["access-control-allow-headers"].split(", "))
    answers = [
        await collecting.send(site, TRACK, headers={**WRITE, "Origin": "https://shop.example"}),
        await site.client.post(collecting.path, content=b"{", headers=WRITE),
    ]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert {answer.headers["access-control-allow-origin"] for answer in (preflight, *answers)} == {"*"}
