"""What visitors refused is not logged under their ids, at any door; their refusal is, and alone."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from api.services.consent_gate import GRANT_FOLDED_WITHIN_MS, REFUSAL_FOLDED_WITHIN_MS
from personalization.catalog.catalog import Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.decision_id import mint
from personalization.events.event import DecisionMade, Event, Link, Page, Track
from personalization.visitor.purposes import GPC, Word
from personalization.visitor.visitor_state import VisitorState
from state.visitor_store import Stored
from tests.of_type import of_type
from tests.receipts import signed
from tests.unit.api.site import ID_KEY, NOW, SECRETS, SERVER, WRITE, Site, shop

STRICT = {"Authorization": "Bearer pk_strict"}
GPC_ON = {"Sec-GPC": "1"}
PAGE: dict[str, Any] = {
    "type": "page",
    "anonymousId": "a1",
    "context": {"page": {"url": "https://shop.example/secret"}},
}
REFUSED = VisitorState(now_ms=NOW - 1_000, consents={"personalization": Word(False, NOW - 1_000)})
GRANTED = VisitorState(now_ms=NOW - 1_000, consents={"personalization": Word(True, NOW - 1_000)})


def says(event: dict[str, Any], personalization: bool) -> dict[str, Any]:
    return {**event, "context": {**event["context"], "consent": {"personalization": personalization}}}


def refusals(site: Site) -> list[tuple[str, Event]]:
    return [(key, entry.event) for key, entry in site.entries() + site.spool.entries()]


async def test_an_event_that_carries_a_refusal_leaves_the_refusal_alone(site: Site) -> None:
    await site.collect(says(PAGE, False))
    ((key, event),) = refusals(site)
    assert key == "a:a1"
    event = of_type(Track, event)
    assert event == Track(
        message_id=event.message_id,
        anonymous_id="a1",
        event="Consent Updated",
        properties={"personalization": False},
    )


async def test_a_refusal_that_names_two_ids_holds_for_both_and_joins_them_not(site: Site) -> None:
    await site.collect({**says(PAGE, False), "userId": "u1"})
    assert [key for key, _ in refusals(site)] == ["u:u1", "a:a1"]
    assert not any(isinstance(event, Link) for _, event in refusals(site))
    assert of_type(Track, refusals(site)[1][1]).user_id is None


@pytest.mark.parametrize("headers", [WRITE, STRICT])
async def test_what_is_recorded_holds_for_what_comes(site: Site, headers: dict[str, str]) -> None:
    site.visitors.states = {"a:a1": REFUSED, "a:a2": GRANTED}
    response = await site.collect(PAGE, {**PAGE, "anonymousId": "a2"}, headers=headers)
    assert response.status_code == 200
    body = response.json()
    assert body["accepted"] == 1
    assert [(each["index"], each["code"]) for each in body["warnings"]] == [(0, "no_consent")]
    assert [key for key, _ in refusals(site)] == ["a:a2"]


async def test_who_was_never_asked_is_treated_as_the_source_says(site: Site) -> None:
    await site.collect(PAGE)
    await site.collect(PAGE, headers=STRICT)
    assert len(refusals(site)) == 1


async def test_a_grant_holds_for_itself_and_for_what_follows_at_once(site: Site) -> None:
    await site.collect(PAGE, says(PAGE, True), PAGE, headers=STRICT)
    await site.collect(PAGE, headers=STRICT)
    assert [of_type(Page, entry.event).context.get("consent") for _, entry in site.entries()] == [
        {"personalization": True},
        None,
        None,
    ]


async def test_a_refusal_holds_for_what_follows_at_once(site: Site) -> None:
    await site.collect(says(PAGE, False))
    response = await site.collect(PAGE)
    assert response.json()["accepted"] == 0
    assert len(refusals(site)) == 1


async def tier_of(site: Site, headers: dict[str, str]) -> str:
    (decision,) = (await site.decide(headers=headers)).json()["decisions"]
    return str(decision["tier"])


async def test_a_grant_counts_beside_the_state_until_the_fold_had_time_for_it_and_then_the_state_alone(
    site: Site,
) -> None:
    await site.collect(says(PAGE, True), headers=STRICT)
    for waited_ms, n_accepted, tier in (
        (GRANT_FOLDED_WITHIN_MS - 1, 1, "personalised"),
        (GRANT_FOLDED_WITHIN_MS, 0, "rules"),
    ):
        site.now_ms = NOW + waited_ms
        assert (await site.collect(PAGE, headers=STRICT)).json()["accepted"] == n_accepted
        assert await tier_of(site, STRICT) == tier
    site.visitors.states = {"a:a1": GRANTED}
    assert (await site.collect(PAGE, headers=STRICT)).json()["accepted"] == 1
    site.visitors.states, site.visitors.away = {}, True
    assert (await site.collect(PAGE, headers=STRICT)).json()["accepted"] == 1, "nothing else is known"


async def test_a_refusal_counts_though_the_fold_lags_far_behind_and_a_later_grant_undoes_it(site: Site) -> None:
    await site.collect(says(PAGE, False))
    site.now_ms = NOW + REFUSAL_FOLDED_WITHIN_MS - 1
    assert (await site.collect(PAGE)).json()["accepted"] == 0
    assert await tier_of(site, WRITE) == "rules"
    later = Word(True, NOW + 1)
    site.visitors.states = {"a:a1": VisitorState(now_ms=site.now_ms, consents={"personalization": later})}
    assert (await site.collect(PAGE)).json()["accepted"] == 1
    site.visitors.states = {}
    site.now_ms = NOW + REFUSAL_FOLDED_WITHIN_MS
    assert (await site.collect(PAGE)).json()["accepted"] == 1


@pytest.mark.parametrize(("granted", "headers", "n_accepted"), [(True, STRICT, 0), (False, WRITE, 1)])
async def test_who_was_erased_has_said_nothing(
    site: Site, granted: bool, headers: dict[str, str], n_accepted: int
) -> None:
    await site.collect(says(PAGE, granted), headers=headers)
    site.rights.person_kept = {"a:a1": Stored(None, None)}
    assert (await site.client.delete("/v1/visitors/a1", headers=SERVER)).status_code == 202
    assert (await site.collect(PAGE, headers=headers)).json()["accepted"] == n_accepted


async def test_without_states_a_granting_source_takes_events_and_another_asks_to_send_again(site: Site) -> None:
    site.visitors.away = True
    assert (await site.collect(PAGE)).status_code == 200
    assert (await site.collect(PAGE, headers=STRICT)).status_code == 503
    assert (await site.collect(says(PAGE, True), headers=STRICT)).status_code == 200
    assert (await site.collect(says(PAGE, False), headers=STRICT)).status_code == 200
    assert len(refusals(site)) == 3


async def test_words_on_other_purposes_are_kept_where_nothing_else_may_be(site: Site) -> None:
    site.visitors.states = {"a:a1": REFUSED}
    await site.collect({**PAGE, "context": {**PAGE["context"], "consent": {"Advertising": False}}})
    ((_, event),) = refusals(site)
    event = of_type(Track, event)
    assert (event.event, event.properties, event.context) == ("Consent Updated", {"advertising": False}, {})


async def test_what_a_browser_refuses_is_recorded_with_the_event(site: Site) -> None:
    await site.collect(PAGE, headers={**WRITE, **GPC_ON})
    ((_, event),) = refusals(site)
    assert of_type(Page, event).context == {**PAGE["context"], "consent": dict.fromkeys(GPC, False)}


async def test_what_a_browser_refuses_is_recorded_once(site: Site) -> None:
    site.visitors.states = {"a:a1": VisitorState(now_ms=NOW, consents={p: Word(False, NOW) for p in GPC})}
    await site.collect(PAGE, headers={**WRITE, **GPC_ON})
    assert of_type(Page, refusals(site)[0][1]).context == PAGE["context"]


async def test_of_strangers_who_agreed_to_nothing_a_browsers_refusal_is_not_logged_either(site: Site) -> None:
    await site.collect(PAGE, headers={**STRICT, **GPC_ON})
    assert refusals(site) == []


async def test_a_decide_records_what_the_browser_of_a_known_visitor_refuses(site: Site) -> None:
    site.visitors.states = {"a:a1": GRANTED}
    await site.decide(visitor={"anonymousId": "a1"}, headers={**WRITE, **GPC_ON})
    events = [event for _, event in refusals(site) if isinstance(event, Track)]
    assert [(event.event, event.properties) for event in events] == [("Consent Updated", dict.fromkeys(GPC, False))]
    site.visitors.states = {}
    await site.decide(visitor={"anonymousId": "a9"}, headers={**WRITE, **GPC_ON})
    assert len([key for key, event in refusals(site) if isinstance(event, Track)]) == 1


async def test_events_sent_along_with_a_decide_go_through_the_same_gate(site: Site) -> None:
    event = {**says(PAGE, False), "anonymousId": "a1"}
    await site.decide(visitor={"anonymousId": "a1"}, events=[event])
    tracked = [event for _, event in refusals(site) if isinstance(event, Track)]
    assert [(event.event, event.context) for event in tracked] == [("Consent Updated", {})]


async def test_what_a_decide_refuses_is_recorded_once_and_counts_at_once(site: Site) -> None:
    refusing: dict[str, Any] = {"context": {"consent": {"Personalization": False, "vendors": False}}}
    await site.decide(visitor={"anonymousId": "a1"}, **refusing)
    await site.decide(visitor={"anonymousId": "a1"}, **refusing)
    assert (await site.collect(PAGE)).json()["accepted"] == 0
    said = [of_type(Track, event) for _, event in refusals(site)]
    assert said[0].properties == {"personalization": False, "vendors": False}
    assert [event.properties for event in said[1:]] == [{"vendors": False}], (
        "of what nobody asks for nothing is kept"
    )
    site.visitors.states = {"a:a1": REFUSED}
    await site.decide(visitor={"anonymousId": "a1"}, context={"consent": {"personalization": False}})
    assert len(refusals(site)) == 2


async def test_a_decide_records_a_first_grant_where_nothing_is_granted_by_default(site: Site) -> None:
    granting = {"context": {"consent": {"personalization": True, "vendors": True}}}
    await site.decide(visitor={"anonymousId": "a1"}, headers=WRITE, **granting)
    assert [type(event) for _, event in refusals(site)] == [DecisionMade], "granted by default: no word is needed"
    site.spool.records.clear()
    await site.decide(visitor={"anonymousId": "a2"}, headers=STRICT, **granting)
    words, made = (event for _, event in refusals(site))
    assert (of_type(Track, words).properties, type(made)) == ({"personalization": True}, DecisionMade)
    assert (await site.collect({**PAGE, "anonymousId": "a2"}, headers=STRICT)).json()["accepted"] == 1
    assert site.entries()[0][1].agreed, "its word may come behind it"
    site.visitors.states = {"a:a2": REFUSED}
    site.spool.records.clear()
    await site.decide(visitor={"anonymousId": "a3"}, headers=STRICT)
    assert refusals(site)[1:] == [], "who said nothing there agreed to nothing"


async def test_what_a_decide_grants_by_itself_undoes_no_refusal_and_a_later_receipt_does(site: Site) -> None:
    site.visitors.states = {"a:a1": REFUSED}
    await site.decide(visitor={"anonymousId": "a1"}, context={"consent": {"personalization": True}})
    assert refusals(site) == []
    for at_ms, n_logged in ((NOW - 2_000, 0), (NOW - 500, 1)):
        receipt = signed(SECRETS, "a:a1", at_ms)
        await site.decide(visitor={"anonymousId": "a1"}, context={"consentReceipt": receipt})
        assert [key for key, event in refusals(site) if isinstance(event, DecisionMade)] == ["a:a1"] * n_logged
    assert not any(isinstance(event, Track) for _, event in refusals(site)), "it was recorded before it was signed"


async def test_a_refusal_sent_along_is_recorded_for_all_whom_the_decision_is_for(site: Site) -> None:
    said = {"type": "track", "event": "Consent Updated", "properties": {"personalization": False, "ads": True}}
    visitor = {"anonymousId": "a1", "userId": "u1"}
    await site.decide(visitor=visitor, events=[{**said, "anonymousId": "a1"}])
    recorded = [(key, of_type(Track, event).properties) for key, event in refusals(site)]
    assert recorded == [("a:a1", {"personalization": False, "ads": True}), ("u:u1", {"personalization": False})]
    (own, besides) = (entry for _, entry in site.spool.entries())
    assert of_type(Track, own.event).message_id == of_type(Track, besides.event).message_id
    assert besides.sender is not None
    assert not besides.sender.verified, "nobody has proven that whoever has the browser is the user"
    for ids in (visitor, {"userId": "u1"}, {"anonymousId": "a1"}):
        (decision,) = (await site.decide(visitor=ids)).json()["decisions"]
        assert decision["tier"] == "rules"


async def test_a_grant_sent_along_holds_for_whom_it_names(site: Site) -> None:
    said = {"type": "track", "event": "Consent Updated", "properties": {"personalization": True}}
    await site.decide(
        headers=STRICT, visitor={"anonymousId": "a1", "userId": "u1"}, events=[{**said, "anonymousId": "a1"}]
    )
    tracks = [key for key, event in refusals(site) if isinstance(event, Track)]
    assert tracks == ["a:a1"]
    for ids, tier in (({"anonymousId": "a1"}, "personalised"), ({"userId": "u1"}, "rules")):
        (decision,) = (await site.decide(headers=STRICT, visitor=ids)).json()["decisions"]
        assert decision["tier"] == tier


async def test_a_refusal_by_event_holds_for_a_decide_at_once(site: Site) -> None:
    await site.collect({"type": "track", "event": "Consent Updated", "anonymousId": "a1",
                        "properties": {"personalization": False}})  # fmt: skip
    (decision,) = (await site.decide(visitor={"anonymousId": "a1"})).json()["decisions"]
    assert (decision["tier"], site.spool.records) == ("rules", [])
    site.visitors.away = True
    (decision,) = (await site.decide(visitor={"anonymousId": "a1"})).json()["decisions"]
    assert decision["tier"] == "rules", "nor does a model see it where the state cannot be read"


async def test_without_a_state_no_grant_is_recorded_and_a_refusal_is(site: Site) -> None:
    site.visitors.away = True
    await site.decide(visitor={"anonymousId": "a1"}, headers=STRICT, context={"consent": {"personalization": True}})
    assert refusals(site) == []
    await site.decide(visitor={"anonymousId": "a1"}, context={"consent": {"personalization": False}})
    assert [of_type(Track, event).properties for _, event in refusals(site)] == [{"personalization": False}]


@pytest.mark.parametrize("path", ["reward", "activate"])
async def test_what_became_of_a_decision_is_not_logged_once_they_refused(site: Site, path: str) -> None:
    async def answered(decision_key: str = "a:a1", **headers: str) -> int:
        site.log.records.clear()
        url = f"/v1/decisions/{mint(ID_KEY, decision_key, b'123456789')}/{path}"
        assert (await site.client.post(url, json={"value": 1}, headers={**WRITE, **headers})).status_code == 204
        return len(site.entries())

    assert await answered() == 1
    site.visitors.states = {"a:a1": REFUSED}
    assert await answered() == 0
    site.visitors.states = {"a:a1": VisitorState(redirect="u:u1"), "u:u1": REFUSED}
    assert await answered() == 0, "whoever they turned out to be"
    site.visitors.states = {}
    await site.collect(says(PAGE, False))
    assert await answered() == 0, "said a moment ago"
    assert await answered("u:other") == 1
    site.visitors.away = True
    assert await answered("u:other") == 1, "the fold asks again"


async def test_where_a_placement_needs_no_consent_its_rewards_are_logged(site: Site) -> None:
    banner = {"banner": Placement(content=("shoes",), default="shoes", consent=())}
    site.compiled = compile_catalog(structs.replace(shop(), placements=banner), 13)
    site.visitors.states = {"u:u1": REFUSED}
    await site.reward()
    assert len(site.entries()) == 1


async def test_a_word_under_one_id_counts_for_an_event_with_both(site: Site) -> None:
    site.visitors.states = {"a:a1": GRANTED}
    login = {"type": "identify", "anonymousId": "a1", "userId": "u1", "traits": {"plan": "pro"}}
    assert (await site.collect(login, headers=STRICT)).json()["accepted"] == 1
    (key, entry), _ = site.entries()
    assert (key, entry.agreed) == ("u:u1", True)
    site.log.records.clear()
    await site.collect(PAGE, headers=STRICT)
    assert not site.entries()[0][1].agreed, "recorded where it is folded"


async def test_a_refusal_of_everything_is_one_of_personalization_too(site: Site) -> None:
    await site.collect({**PAGE, "context": {**PAGE["context"], "consent": {"*": False}}})
    ((_, event),) = refusals(site)
    event = of_type(Track, event)
    assert (event.event, event.properties, event.context) == ("Consent Updated", {"*": False}, {})
    assert (await site.collect(PAGE)).json()["accepted"] == 0
    (decision,) = (await site.decide(visitor={"anonymousId": "a1"})).json()["decisions"]
    assert (decision["tier"], site.spool.records) == ("rules", [])
    (decision,) = (await site.decide(visitor={"anonymousId": "a2"}, context={"consent": {"*": False}})).json()[
        "decisions"
    ]
    assert decision["tier"] == "rules"
    assert [of_type(Track, event).properties for _, event in refusals(site)[1:]] == [{"*": False}]
