"""Scores through real servers: points open a content, a tier that fades is lost on time, and the reasons add up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from personalization.events.event import TierChanged, TimedOut
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

EXPIRES_MS = 5_000
CATALOG = """
placements:
  only:
    content: [vip]
    default: plain
    features: [scores, tiers, trends]
content:
  vip: {type: html, body: "<p>{{tiers.lead}}</p>", when: 'tiers.lead == "A1"'}
  plain: {type: html, body: <p>plain</p>}
scores:
  fit:
    traits: [{when: traits.plan == "pro", points: 30}]
    tiers: {B: 0, A: 20}
  interest:
    events:
      - {event: Priced, points: 10, when: properties.page == "pricing", expires: 5s}
      - {event: Left, points: -25, half_life: 1h}
    tiers: {2: 0, 1: 20}
    trend: 1h
  lead:
    axes: [fit, interest]
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


def test_points_open_a_content_and_what_expires_closes_it_on_time(site: Site) -> None:
    visitor = {"anonymousId": "s1"}
    site.collect({"type": "identify", "traits": {"plan": "pro"}, **visitor})
    for page in ("pricing", "home", "pricing"):
        site.collect({"type": "track", "event": "Priced", "properties": {"page": page}, **visitor})
    until(lambda: site.up.event_count("s1") == 4, "all four are folded")
    decided = site.decide(visitor, "only")
    assert (decided["contentId"], decided["content"]["html"]) == ("vip", "<p>A1</p>")
    scores = site.up.call("GET", "/v1/visitors/s1")["scores"]
    assert (scores["fit"]["points"], scores["fit"]["tier"]) == (30, "A")
    assert (scores["interest"]["points"], scores["interest"]["tier"]) == (20, "1")
    assert scores["interest"]["trend"] == "rising"
    assert scores["interest"]["because"] == [
        {"event": "Priced", "points": 20.0, "when": 'properties.page == "pricing"', "count": 2.0}
    ]
    assert (scores["lead"]["points"], scores["lead"]["tier"]) == (50, "A1")

    def told() -> list[tuple[str, str, str, int]]:
        entries = [(entry.event, entry.received_at_ms) for entry in site.logged("a:s1")]
        return [(e.score, e.before, e.tier, at_ms) for e, at_ms in entries if isinstance(e, TierChanged)]

    until(lambda: len(told()) == 6, "the first of the points expired, and nobody did anything for it")
    assert [each[:3] for each in told()] == [
        ("fit", "B", "A"),
        ("lead", "B2", "A2"),
        ("interest", "2", "1"),
        ("lead", "A2", "A1"),
        ("interest", "1", "2"),
        ("lead", "A1", "A2"),
    ]
    assert told()[4][3] - told()[2][3] >= EXPIRES_MS - 1_000, "the first began a little before the second"
    assert site.decide(visitor, "only")["contentId"] == "plain"
    assert sum(isinstance(event, TimedOut) for event in site.events("a:s1")) <= 2, "one time-out at a time"


def test_a_published_threshold_moves_those_who_do_nothing_too(site: Site) -> None:
    site.collect({"type": "identify", "traits": {"plan": "pro"}, "anonymousId": "s2"})
    until(lambda: site.up.event_count("s2") == 1, "it is folded")

    def told() -> list[tuple[str, str]]:
        events = site.events("a:s2")
        return [(event.before, event.tier) for event in events if isinstance(event, TierChanged)]

    assert told() == [("B", "A"), ("B2", "A2")]
    site.publish(CATALOG.replace("{B: 0, A: 20}", "{B: 0, A: 200}"))
    until(lambda: told()[2:] == [("A", "B"), ("A2", "B2")], "they fell")
    assert site.up.call("GET", "/v1/visitors/s2")["scores"]["lead"]["tier"] == "B2"
