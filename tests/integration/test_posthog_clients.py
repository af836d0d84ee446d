"""PostHog's own SDKs against real servers: their events are profiles and rewards, their flags our choices."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from posthog import Posthog

from tests.clients import node
from tests.integration.evaluated import decided, exposures, records
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero:
    content: [red, green]
    default: red
    window: 1h
    rewards: [{event: clicked, value: 1}]
  theme: {content: [free, pro], default: free, window: 1h}
  beta: {content: [enabled], default: enabled}
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  free: {body: {plan: free}, when: 'traits.plan != "pro"'}
  pro: {body: {plan: pro}, when: 'traits.plan == "pro"'}
  enabled: {body: true}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""
HERO = {"red": "<p>red</p>", "green": "<p>green</p>"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


_numbers = itertools.count(1)


@pytest.fixture
def visitor() -> str:
    return f"visitor-{next(_numbers)}"


@pytest.fixture
def posthog(site: Site) -> Iterator[Posthog]:
    """PostHog's Python SDK; what it could not send fails the test."""
    errors: list[Any] = []
    client = Posthog("sk_dev", host=site.up.url, on_error=lambda error, _: errors.append(error))
    yield client
    client.shutdown()
    assert errors == []


def test_python_what_it_sets_is_known_to_the_next_decision(site: Site, visitor: str, posthog: Posthog) -> None:
    posthog.set(distinct_id=visitor, properties={"plan": "pro"})
    posthog.set_once(distinct_id=visitor, properties={"plan": "free", "first": "2026"})
    posthog.flush()
    until(lambda: site.state(f"u:{visitor}").traits == {"plan": "pro", "first": "2026"}, "what was set is folded")
    decision = site.decide({"userId": visitor}, "theme", "sk_dev")
    assert decision["contentId"] == "pro"
    flags = posthog.evaluate_flags(visitor)
    assert (flags.get_flag("theme"), flags.get_flag_payload("theme")) == ("pro", {"plan": "pro"})
    assert flags.is_enabled("beta") is True
    assert flags.get_flag("nowhere") is None


def test_python_a_flag_that_is_asked_for_is_shown_and_a_click_rewards_its_arm(
    site: Site, visitor: str, posthog: Posthog
) -> None:
    key = f"u:{visitor}"
    flags = posthog.evaluate_flags(visitor)
    assert set(flags.keys) == {"hero", "theme", "beta"}
    until(lambda: len(records(site, key)) == 3, "what was decided is logged")
    assert exposures(site, key) == {}, "an evaluation is no exposure"
    (hero,) = [record.choice for record in records(site, key) if record.choice.placement == "hero"]
    assert (flags.get_flag("hero"), flags.get_flag_payload("hero")) == (hero.arm, HERO[hero.arm])
    posthog.flush()
    until(lambda: exposures(site, key) == {hero.arm: 1}, "the flag that was asked for is exposed")
    click = uuid.uuid4()
    for _ in range(2):
        posthog.capture("clicked", distinct_id=visitor, uuid=click, properties={"contentId": hero.arm})
    posthog.capture("cut", distinct_id=visitor, properties={"title": "half an emoji: \ud83d"})
    posthog.capture("viewed", distinct_id=visitor)
    posthog.flush()
    until(lambda: "viewed" in site.state(key).counts, "the last event is folded")
    assert site.state(key).event_count == 3, "what was sent twice counts once, and what is bad keeps nothing back"
    site.call(f"/v1/decisions/{hero.decision_id}/reward", {"value": 0.0, "final": True}, "sk_dev")
    until(lambda: hero.decision_id in site.outcomes("hero"), "the outcome is in the log")
    outcome = site.outcomes("hero")[hero.decision_id]
    assert (outcome.choice.arm, outcome.reward, outcome.trains) == (hero.arm, 1.0, True)


def test_python_joins_a_browser_to_its_user(site: Site, visitor: str, posthog: Posthog) -> None:
    site.collect({"type": "track", "event": "Viewed", "anonymousId": f"browser-{visitor}"})
    posthog.alias(previous_id=f"browser-{visitor}", distinct_id=visitor)
    posthog.flush()
    until(lambda: "Viewed" in site.state(f"u:{visitor}").counts, "the browser's past is the user's")


def test_node_identifies_and_its_flags_and_events_are_the_visitors(site: Site, visitor: str) -> None:
    told = {"url": site.up.url, "key": "pk_dev", "distinctId": visitor}
    assert node.run("posthog_server.mjs", {**told, "identify": {"plan": "pro"}})["errors"] == []
    until(lambda: site.state(f"a:{visitor}").traits == {"plan": "pro"}, "what was set is folded")
    events = [
        {"event": "clicked", "properties": {"n": 1}},
        {"event": "$pageview", "properties": {"$pathname": "/"}},
    ]
    found = node.run("posthog_server.mjs", {**told, "flag": "theme", "events": events})
    assert found == {"value": "pro", "payload": {"plan": "pro"}, "errors": []}
    (theme,) = [record.choice for record in records(site, f"a:{visitor}") if record.choice.placement == "theme"]
    assert decided(site, f"a:{visitor}", theme.decision_id).choice.arm == "pro"
    until(lambda: exposures(site, f"a:{visitor}") == {"pro": 1}, "the flag that was asked for is exposed")
    assert {"clicked", "page"} <= set(site.state(f"a:{visitor}").counts)
