"""The consent gate through real servers: what is in the log, in the states, in the outcomes and in the models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG
from personalization.events.event import Activated, DecisionMade, Link, Rewarded, Track
from personalization.events.outcome import ClosingReason
from personalization.visitor.purposes import GPC
from personalization.visitor.visitor_key import anonymous_key, user_key
from tests.integration.site import NAMESPACE, Site
from tests.of_type import of_type
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

PLACEMENTS = ("by_event", "by_decide", "by_gpc", "reward", "asked", "ads")
CATALOG = """
placements:
{placements}
content:
  red: {{type: html, body: <p>red</p>}}
  green: {{type: html, body: <p>green</p>}}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
  asked:
    write_keys: [pk_asked]
    consent_default: denied
  browser:
    write_keys: [pk_browser]
    consent_default: granted
    gpc: [Personalization]
"""
PLACEMENT = """  {name}:
    content: [red, green]
    default: red
    window: 2s
    features: [counts.Viewed]
    consent: {consent}
    rewards:
      - event: Clicked
"""
GRANTED, REFUSED = {"personalization": True}, {"personalization": False}
SECRET = "a street in Leeds"
ADDRESS = "203.0.113.77"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    placements = "".join(
        PLACEMENT.format(
            name=name, consent="[personalization, Advertising]" if name == "ads" else "[personalization]"
        )
        for name in PLACEMENTS
    )
    with Site.open(tmp_path_factory, CATALOG.format(placements=placements), NEXTBEST_ENCRYPT="off") as site:
        yield site


_numbers = itertools.count(1)


@pytest.fixture
def anonymous() -> str:
    return f"browser-{next(_numbers)}"


@pytest.fixture
def user() -> str:
    return f"account-{next(_numbers)}"


def page(consent: dict[str, bool] | None = None, **ids: str) -> dict[str, Any]:
    context: dict[str, Any] = {"page": {"title": SECRET}, "ip": ADDRESS}
    return {
        "type": "page",
        "name": SECRET,
        "context": {**context, **({"consent": consent} if consent else {})},
        **ids,
    }


def viewed(**ids: str) -> dict[str, Any]:
    return {"type": "track", "event": "Viewed", "properties": {"what": SECRET}, **ids}


def clicked(decision: dict[str, Any], **ids: str) -> dict[str, Any]:
    return {"type": "track", "event": "Clicked", "properties": {"contentId": decision["contentId"]}, **ids}


def says(words: dict[str, bool], **ids: str) -> dict[str, Any]:
    return {"type": "track", "event": "Consent Updated", "properties": words, **ids}


def willing_visitor(site: Site, placement: str, **how: Any) -> dict[str, Any]:
    """Somebody who refused nothing is decided for behind the others, and clicks: so learning got there."""
    ids = {"anonymousId": f"willing-{next(_numbers)}"}
    decision = site.decide(ids, placement, **how)
    assert site.collect(clicked(decision, **ids))["accepted"] == 1
    return decision


def test_a_refusal_by_event_stands_alone(site: Site, anonymous: str) -> None:
    """It closes what is open untrained and without features; nothing of the person is left in log or state."""
    key, ids = anonymous_key(anonymous), {"anonymousId": anonymous}
    site.collect(viewed(**ids))
    site.state(key)
    decision = site.decide(ids, "by_event")
    until(lambda: any(isinstance(event, DecisionMade) for event in site.events(key)), "the decision is in the log")
    n_before = len(site.logged(key)) if site.state(key) else 0
    answer = site.collect(page({"Personalization": False}, **ids))
    assert answer["accepted"] == 1
    refused = [viewed(**ids), {"type": "identify", "traits": {"street": SECRET}, **ids}, clicked(decision, **ids)]
    answer = site.collect(*refused)
    assert (answer["accepted"], [each["code"] for each in answer["warnings"]]) == (0, ["no_consent"] * 3)
    site.reward(decision)
    site.activate(decision)
    again = site.decide(ids, "by_event")
    assert again["tier"] == "rules"
    after = site.events(key)[n_before:]
    assert [(type(event), event.properties, event.context) for event in after] == [(Track, REFUSED, {})]
    state = site.state(key)
    assert (state.event_count, state.counts, state.exposures, state.traits) == (0, {}, {}, {})
    assert site.granted(key) == REFUSED
    until(lambda: decision["decisionId"] in site.outcomes("by_event"), "the open decision is closed")
    outcome = site.outcomes("by_event")[decision["decisionId"]]
    assert (outcome.reason, outcome.trains, outcome.features) == (ClosingReason.WITHDRAWN, False, {})
    willing = willing_visitor(site, "by_event")
    until(lambda: site.learned("by_event")[0] > 0, "the willing one's window is closed and learned")
    assert site.learned("by_event") == (1, 1.0)
    assert set(site.outcomes("by_event")) == {decision["decisionId"], willing["decisionId"]}
    assert again["decisionId"].encode() not in b"".join(value for _, _, value in site.raw(DECISIONS))


def test_a_refusal_by_decide_is_the_requests_and_is_recorded(site: Site, anonymous: str) -> None:
    """Whoever says no to the decider says it to the collector: what follows without a word is not logged either."""
    key, ids = anonymous_key(anonymous), {"anonymousId": anonymous}
    decision = site.decide(ids, "by_decide", context={"consent": REFUSED, "page": {"title": SECRET}})
    assert decision["tier"] == "rules"
    assert site.collect(viewed(**ids))["accepted"] == 0, "said a moment ago"
    until(lambda: site.events(key) != [], "the refusal is in the log")
    assert site.granted(key) == REFUSED
    assert site.collect(viewed(**ids))["accepted"] == 0
    assert site.decide(ids, "by_decide")["tier"] == "rules"
    (event,) = site.events(key)
    assert (event.event, event.properties, event.context) == ("Consent Updated", REFUSED, {})
    assert not any(found == key for found, _, _ in site.raw(DECISIONS))
    willing_visitor(site, "by_decide")
    until(lambda: site.learned("by_decide")[0] > 0, "the willing one's window is closed and learned")
    assert site.learned("by_decide") == (1, 1.0)


def test_a_refusal_by_event_holds_for_a_decide_at_once(site: Site, anonymous: str) -> None:
    ids = {"anonymousId": anonymous}
    site.collect(viewed(**ids))
    site.state(anonymous_key(anonymous))
    assert site.decide(ids, "by_decide", activate=False)["tier"] == "personalised"
    site.collect(says(REFUSED, **ids))
    assert site.decide(ids, "by_decide")["tier"] == "rules"


def test_what_a_browser_refuses_is_recorded_of_who_is_known(site: Site, anonymous: str) -> None:
    """``Sec-GPC: 1`` refuses the source's purposes; of a stranger nothing is left."""
    key, ids = anonymous_key(anonymous), {"anonymousId": anonymous}
    stranger = site.decide(ids, "by_gpc", headers={"Sec-GPC": "1"}, key="pk_browser")
    assert stranger["tier"] == "rules"
    site.collect(viewed(**ids))
    assert site.state(key).event_count == 1
    decision = site.decide(ids, "by_gpc")
    assert decision["tier"] == "personalised"
    assert site.decide(ids, "by_gpc", headers={"Sec-GPC": "1"}, key="pk_browser")["tier"] == "rules"
    until(lambda: any(isinstance(event, Track) and event.event == "Consent Updated" for event in site.events(key)),
          "the refusal is in the log")  # fmt: skip
    assert site.granted(key) == REFUSED
    assert site.state(key).event_count == 0
    outcome = site.outcomes("by_gpc")[decision["decisionId"]]
    assert (outcome.reason, outcome.trains) == (ClosingReason.WITHDRAWN, False)
    assert [type(event) for event in site.events(key)] == [Track, DecisionMade, Track]


def test_what_a_browser_refuses_by_default_goes_with_the_event(site: Site, anonymous: str) -> None:
    key, ids = anonymous_key(anonymous), {"anonymousId": anonymous}
    site.collect(viewed(**ids), **{"Sec-GPC": "1"})
    assert site.granted(key) == dict.fromkeys(GPC, False)
    assert site.state(key).event_count == 1, "personalization itself was not refused"
    assert site.decide(ids, "ads")["reason"].startswith("no consent to advertising")
    assert site.decide(ids, "by_gpc", activate=False)["tier"] == "personalised"


def test_who_was_never_asked_is_not_logged_where_nothing_is_granted_by_default(site: Site, anonymous: str) -> None:
    key, ids = anonymous_key(anonymous), {"anonymousId": anonymous}
    assert site.collect(viewed(**ids), key="pk_asked")["accepted"] == 0
    unasked = site.decide(ids, "asked", key="pk_asked")
    assert unasked["tier"] == "rules"
    site.reward(unasked, key="pk_asked")
    assert site.events(key) == []
    # Whoever says yes with a decide has said it: that decision counts, and so does what follows.
    decision = site.decide(ids, "asked", key="pk_asked", context={"consent": GRANTED})
    assert decision["tier"] == "personalised"
    assert site.collect(clicked(decision, **ids), key="pk_asked")["accepted"] == 1
    until(lambda: site.learned("asked")[0] > 0, "the decision is closed and learned from")
    assert site.learned("asked") == (1, 1.0)
    assert site.granted(key) == GRANTED
    assert [type(event) for event in site.events(key)].count(DecisionMade) == 1


def test_a_word_under_one_id_counts_for_what_names_both(site: Site, anonymous: str, user: str) -> None:
    """Who agreed as a stranger and then logs in: the log-in itself and its first decision are not lost."""
    known = {"anonymousId": anonymous, "userId": user}
    site.collect(says(GRANTED, anonymousId=anonymous), key="pk_asked")
    site.state(anonymous_key(anonymous))
    login = {"type": "identify", "traits": {"plan": "pro"}, **known}
    assert site.collect(login, key="pk_asked")["accepted"] == 1
    decision = site.decide(known, "by_decide", key="pk_asked", activate=False)
    assert decision["tier"] == "personalised"
    until(lambda: any(isinstance(event, DecisionMade) for event in site.events(user_key(user))), "it is in the log")
    until(lambda: site.granted(user_key(user)) == GRANTED, "merged")
    assert site.state(user_key(user)).traits == {"plan": "pro"}
    assert site.up.call("GET", f"/v1/visitors/{user}")["openDecisions"] == 1


def test_the_later_word_holds(site: Site, anonymous: str) -> None:
    key, ids = anonymous_key(anonymous), {"anonymousId": anonymous}
    times = []
    for word in (True, False, True):
        site.collect(says({"personalization": word}, **ids))
        state = site.state(key)
        assert state.consents["personalization"].granted is word
        times.append(state.consents["personalization"].at_ms)
        assert site.collect(viewed(**ids))["accepted"] == word
    assert times == sorted(times)
    assert site.state(key).event_count == 2, "of before the refusal nothing is left: the second grant, and one seen"


def test_purposes_are_compared_in_one_form(site: Site, anonymous: str) -> None:
    ids = {"anonymousId": anonymous}
    site.collect(says({" ADVERTISING ": False, "Sale-Sharing": False}, **ids))
    assert site.granted(anonymous_key(anonymous)) == {"advertising": False, "sale_sharing": False}
    assert site.decide(ids, "ads")["tier"] == "rules"
    assert site.decide(ids, "by_decide", activate=False)["tier"] == "personalised"
    site.collect(says({"PERSONALIZATION": False}, **ids))
    assert site.collect(viewed(**ids))["accepted"] == 0


def test_a_public_key_deletes_nothing_of_a_registered_person(site: Site, anonymous: str, user: str) -> None:
    key = user_key(user)
    site.collect({"type": "identify", "userId": user, "traits": {"plan": "pro"}}, key="sk_dev")
    assert site.state(key).traits == {"plan": "pro"}
    site.collect(page(REFUSED, userId=user, anonymousId=anonymous))
    state = site.state(key)
    assert (state.traits, state.event_count) == ({"plan": "pro"}, 1)
    assert not state.consents["personalization"].granted
    assert not state.consents["personalization"].verified
    assert site.collect(viewed(userId=user))["accepted"] == 0, "not processed"
    assert site.decide({"userId": user}, "by_decide")["tier"] == "rules"
    assert not any(isinstance(event, Link) for event in site.events(anonymous_key(anonymous)))
    site.collect(says(GRANTED, userId=user), key="sk_dev")
    assert site.state(key).consents["personalization"].granted
    assert site.decide({"userId": user}, "by_decide", activate=False)["tier"] == "personalised"
    assert site.state(key).traits == {"plan": "pro"}
    site.collect(says(REFUSED, userId=user), key="sk_dev")  # a server key is proof
    assert (site.state(key).traits, site.state(key).event_count) == ({}, 0)


def test_rewards_and_activations_of_who_refused_are_not_logged(site: Site, anonymous: str) -> None:
    key, ids = anonymous_key(anonymous), {"anonymousId": anonymous}
    shown, deferred = site.decide(ids, "reward"), site.decide(ids, "reward", activate=False)
    until(lambda: len(site.events(key)) == 2, "both decisions are in the log")
    site.collect(says(REFUSED, **ids))
    site.reward(shown)  # at once: the refusal is not folded yet
    site.activate(deferred)
    assert not site.state(key).consents["personalization"].granted
    site.reward(shown)
    site.activate(deferred)
    assert [type(event) for event in site.events(key)] == [DecisionMade, DecisionMade, Track]
    assert not any(isinstance(event, Rewarded | Activated) for event in site.events(key))
    closed = site.outcomes("reward")
    assert {(each.reason, each.trains, each.n_rewards) for each in closed.values()} == {
        (ClosingReason.WITHDRAWN, False, 0)
    }
    assert set(closed) == {shown["decisionId"], deferred["decisionId"]}
    willing_visitor(site, "reward")
    until(lambda: site.learned("reward")[0] > 0, "the willing one's window is closed and learned")
    assert site.learned("reward") == (1, 1.0)


def test_no_address_is_ever_stored(site: Site, anonymous: str) -> None:
    ids = {"anonymousId": anonymous}
    site.collect(page(None, **ids), page(GRANTED, **ids))
    decision = site.decide(
        ids, "by_decide", context={"ip": ADDRESS, "page": {"title": "t"}}, events=[page(None, **ids)]
    )
    site.reward(decision)
    until(lambda: site.state(anonymous_key(anonymous)).event_count == 3, "what was sent along came from the spool")
    everything = b"".join(value for topic in (VISITOR_LOG, DECISIONS, OUTCOMES) for _, _, value in site.raw(topic))
    states = [site.redis.get(name) for name in site.redis.scan_iter(match=f"{NAMESPACE}:*", _type="string")]
    assert len(states) > 1
    assert SECRET.encode() in everything, "what is looked for would be found"
    assert ADDRESS.encode() not in everything
    assert not any(ADDRESS.encode() in of_type(bytes, state) for state in states)
