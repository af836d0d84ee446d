"""One loop, whichever dialect is spoken: the same decisions, the same exposures, the same rewards, the same no."""

from __future__ import annotations

import time
from typing import Any

import pytest

from personalization.deciding.distribution import SCALE
from personalization.events.decision_id import key_of
from personalization.events.event import DecisionMade, Track
from personalization.visitor.visitor_key import NOBODY
from personalization.visitor.visitor_state import VisitorState
from tests.contract.dialects.folding import folded
from tests.contract.dialects.speakers import SPEAKERS, Bad, Speaker, ask, reward
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, WRITE, Site

BAD = [
    pytest.param(speaker, bad, id=f"{speaker.name}-{n}")
    for speaker in SPEAKERS
    for n, bad in enumerate(speaker.bad)
]


@pytest.mark.parametrize("visitor", ["a1", "b2", "ä", "7"])
async def test_all_dialects_make_the_same_decision_of_a_visitor(site: Site, visitor: str) -> None:
    choices = [await ask(speaker, site, visitor) for speaker in SPEAKERS]
    assert len(set(choices)) == 1
    assert key_of(ID_KEY, choices[0].decision_id) == f"a:{visitor}"
    first, *others = site.spool.decisions()
    assert first.choice.decision_id == choices[0].decision_id
    for other in others:
        assert (other.choice.arm, other.weights, other.features, other.ticket) == (
            first.choice.arm,
            first.weights,
            first.features,
            first.ticket,
        )
    assert len(folded(site).visitors[f"a:{visitor}"].folder.open) == 1, "one trial, however many asked"


async def test_a_choice_counts_as_shown_once_that_is_said(site: Site, speaker: Speaker) -> None:
    choice = await ask(speaker, site)
    before = folded(site).visitors["a:a1"]
    assert before.state.exposures == {}
    assert [decision.exposed_at_ms for decision in before.folder.open] == [None]
    assert (await speaker.show(site, choice, "a1")).status_code in (200, 204)
    after = folded(site).visitors["a:a1"]
    assert {arm: exposure.total for arm, exposure in after.state.exposures.items()} == {choice.content_id: 1}
    assert [decision.exposed_at_ms is None for decision in after.folder.open] == [False]


async def test_a_reward_joins_the_decision_it_names(site: Site, speaker: Speaker) -> None:
    choice = await ask(speaker, site)
    await speaker.show(site, choice, "a1")
    await reward(site, choice, 0.5)
    (outcome,) = folded(site).outcomes
    assert (outcome.choice.decision_id, outcome.choice.placement, outcome.choice.arm) == (
        choice.decision_id,
        "home.hero",
        choice.content_id,
    )
    assert (outcome.reward, outcome.trains, outcome.n_rewards) == (0.5, True, 1)
    assert outcome.choice.weight / SCALE == choice.probability


async def test_a_choice_never_shown_trains_nothing_but_by_its_reward_told(site: Site, speaker: Speaker) -> None:
    await reward(site, await ask(speaker, site))
    world = folded(site)
    assert world.outcomes == [], "its activation may be on its way"
    assert world.visitors["a:a1"].folder.open[0].by_reward == 2


@pytest.mark.parametrize(("speaker", "bad"), BAD)
async def test_bad_input_is_named_soon_and_disturbs_nothing(site: Site, speaker: Speaker, bad: Bad) -> None:
    spent_s = []
    for _ in range(3):  # the least counts: a garbage collection may fall into any one
        began = time.process_time()
        response = await site.client.post(speaker.path, content=bad.body, headers=WRITE)
        spent_s.append(time.process_time() - began)
    assert response.status_code == bad.status, response.text
    code, text = speaker.refusal(response.json())
    assert code == bad.code
    assert text.startswith(f"{bad.field}: ")
    assert response.json()["requestId"] == response.headers["x-request-id"]
    assert min(spent_s) < 0.05, "CPU of this process, client included"
    assert site.spool.records == site.log.records == []
    assert (await ask(speaker, site)).tier == "personalised"


TOO_MUCH: tuple[dict[str, Any], ...] = ({"a": [{}] * 1_000}, {"a": {"b": [{"c": 1}] * 500}})


@pytest.mark.parametrize("context", TOO_MUCH, ids=["values", "deep values"])
async def test_a_context_is_bounded_alike(site: Site, speaker: Speaker, context: dict[str, Any]) -> None:
    path, body = speaker.question("a1", "home.hero", context)
    response = await site.client.post(path, json=body, headers=WRITE)
    assert response.status_code == 400
    assert "context: has" in speaker.refusal(response.json())[1]
    assert site.spool.records == []
    await ask(speaker, site, a=[","] * 900)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody"}, {"X-API-Key": ""}])
async def test_nobody_is_answered_without_a_key(site: Site, speaker: Speaker, headers: dict[str, str]) -> None:
    path, body = speaker.question("a1", "home.hero", {})
    response = await site.client.post(path, json=body, headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert site.spool.records == []


async def test_pages_of_any_origin_may_ask_and_read_what_is_refused(site: Site, speaker: Speaker) -> None:
    preflight = await site.client.options(speaker.path, headers={"Origin": "https://shop.example"})
    assert preflight.status_code == 204
    assert {"authorization", "content-type"} <= set(preflight.headers["access-control-allow-headers"].split(", "))
    answers = [
        preflight,
        await site.client.post(speaker.path, content=b"", headers=WRITE),
        await site.client.delete(speaker.path, headers=WRITE),
        await site.client.post(speaker.path, content=b""),
    ]
    assert [answer.status_code for answer in answers] == [204, 400, 405, 401]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"*"}
    for refused in answers[1:]:
        assert speaker.refusal(refused.json())[0]
        assert "x-request-id" in refused.headers["access-control-expose-headers"]


async def test_who_refuses_is_decided_for_and_not_logged(site: Site, speaker: Speaker) -> None:
    choice = await ask(speaker, site, consent={"personalization": False})
    assert (choice.tier, key_of(ID_KEY, choice.decision_id)) == ("rules", NOBODY)
    (words,) = [of_type(Track, entry.event) for _, entry in site.spool.entries()]
    assert words.properties == {"personalization": False}
    assert site.spool.decisions() == []


async def test_who_is_known_elsewhere_to_refuse_is_not_logged_by_any(site: Site, speaker: Speaker) -> None:
    await site.collect({"type": "track", "event": "Consent Updated", "anonymousId": "a1",
                        "properties": {"personalization": False}})  # fmt: skip
    assert (await ask(speaker, site)).tier == "rules"
    assert site.spool.records == []


async def test_a_state_that_cannot_be_read_is_no_reason_for_no_answer(site: Site, speaker: Speaker) -> None:
    site.visitors.away = True
    choice = await ask(speaker, site)
    assert (choice.tier, key_of(ID_KEY, choice.decision_id)) == ("contextual", NOBODY)
    assert site.spool.records == []


async def test_what_is_logged_says_who_sent_it(site: Site, speaker: Speaker) -> None:
    await ask(speaker, site)
    ((_, entry),) = site.spool.entries()
    assert of_type(DecisionMade, entry.event).exposed is False
    assert entry.sender is not None
    assert (entry.sender.source, entry.sender.by) == ("web", "write")


async def test_metrics_tell_decisions_of_every_dialect_alike(site: Site, speaker: Speaker) -> None:
    await ask(speaker, site)
    await site.client.post(speaker.path, content=b"", headers=WRITE)
    text = site.metrics.exposition().decode()
    assert 'nextbest_decision_seconds_count{placement="home.hero",tier="personalised"} 1.0' in text
    for status in (200, 400):
        assert f'nextbest_requests_total{{endpoint="{speaker.endpoint}",status="{status}"}} 1.0' in text


async def test_ids_of_nobodys_are_counted_whichever_field_they_stand_in(site: Site, speaker: Speaker) -> None:
    choice = await ask(speaker, site, "undefined")
    assert (choice.tier, key_of(ID_KEY, choice.decision_id)) == ("contextual", NOBODY)
    assert site.spool.records == []
    assert b'nextbest_degenerate_ids_total{source="web"} 1.0' in site.metrics.exposition()


async def test_a_kept_choice_is_kept_for_every_dialect(site: Site, speaker: Speaker) -> None:
    first = await ask(speaker, site)
    visitor = folded(site).visitors["a:a1"]
    site.visitors.states["a:a1"] = visitor.state
    n_records = len(site.spool.decisions())
    for other in SPEAKERS:
        assert await ask(other, site) == first
    assert len(site.spool.decisions()) == n_records, "no new trial"


async def test_what_the_state_says_is_what_all_decide_with(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(revision=3, traits={"first_name": "Ada"})
    choices = [await ask(speaker, site) for speaker in SPEAKERS]
    assert {record.state_revision for record in site.spool.decisions()} == {3}
    assert len(set(choices)) == 1
