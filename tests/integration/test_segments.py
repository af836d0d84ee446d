"""Segments through real servers: a window changes what is shown, and who enters and leaves stands in the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from personalization.events.event import SegmentChanged, TimedOut
from personalization.visitor.visitor_state import Exposure
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

WITHIN_MS = 6_000
CATALOG = """
placements:
  only:
    content: [vip]
    default: plain
  capped:
    content: [rare]
    default: plain
  news:
    content: [hint, tip]
    slots: 2
    default: plain
  footer:
    content: [hint]
    default: plain
content:
  hint: {type: html, body: <p>hint</p>, group: advice, cap: [9 per day, 2 per 1h per group]}
  tip: {type: html, body: <p>tip</p>, group: advice, cap: {limit: 2, within: 1h, of: group}}
  vip: {type: html, body: <p>vip</p>, when: '"keen" in segments'}
  rare: {type: html, body: <p>rare</p>, cap: 2 per 1h}
  plain: {type: html, body: <p>plain</p>}
segments:
  reader: count("Read", within="1h") >= 3
  keen: count("Priced", where='properties.plan == "pro"', within="6s") >= 3
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


def test_who_is_keen_is_shown_more_and_leaves_by_time_alone(site: Site) -> None:
    visitor = {"anonymousId": "w1"}
    for plan in ("pro", "free", "pro", "pro"):
        site.collect({"type": "track", "event": "Priced", "properties": {"plan": plan}, **visitor})
    until(lambda: site.up.event_count("w1") == 4, "all four are folded")
    assert site.decide(visitor, "only")["contentId"] == "vip"

    def told() -> list[tuple[bool, int]]:
        entries = site.logged("a:w1")
        return [(e.event.entered, e.received_at_ms) for e in entries if isinstance(e.event, SegmentChanged)]

    until(lambda: len(told()) == 2, "they left, and did nothing for it")
    (entered, entered_ms), (left, left_ms) = told()
    assert (entered, left) == (True, False)
    assert left_ms - entered_ms >= WITHIN_MS - 1_000, "the third of them began a little before"
    assert site.decide(visitor, "only")["contentId"] == "plain"
    events = site.events("a:w1")
    assert sum(isinstance(event, TimedOut) for event in events) <= 3, "one time-out at a time"


def test_a_cap_over_a_length_of_time_counts_what_was_shown(site: Site) -> None:
    visitor = {"anonymousId": "w2"}
    for n_shown in (1, 2):
        assert site.decide(visitor, "capped")["contentId"] == "rare"
        until(lambda: len(site.events("a:w2")) >= n_shown, "it is logged")  # noqa: B023 (called at once)
        assert site.state("a:w2").exposures["rare"].total == n_shown
    assert site.decide(visitor, "capped")["contentId"] == "plain"
    (times,) = site.state("a:w2").windows.values()
    assert len(times) == 2


def test_a_cap_of_a_group_counts_what_any_placement_showed_of_it(site: Site) -> None:
    visitor = {"anonymousId": "w3"}
    assert site.decide(visitor, "footer")["contentId"] == "hint"
    until(lambda: len(site.state("a:w3").windows) == 1, "it is counted")
    body = {"visitor": visitor, "placements": ["news", "footer"]}
    decisions = site.call("/v1/decide", body)["decisions"]
    shown = [(each["placement"], each["contentId"]) for each in decisions]
    assert len([content for _, content in shown if content != "plain"]) == 1, "one was left of two"
    until(lambda: [len(times) for times in site.state("a:w3").windows.values()] == [2], "both are counted")
    assert site.decide(visitor, "footer")["contentId"] == "plain"
    state = site.state("a:w3")
    assert state.exposures["hint"].total + state.exposures.get("tip", Exposure(0, 0, 0, 0, 0)).total == 2


def test_a_published_rule_moves_those_who_do_nothing_too(site: Site) -> None:
    """And wakes nobody whom it does not move a second time."""
    readers = [f"r{n}" for n in range(5)]
    for reader in readers:
        for _ in range(2):
            site.collect({"type": "track", "event": "Read", "anonymousId": reader})
    until(lambda: all(site.up.event_count(reader) == 2 for reader in readers), "all are folded")

    def told() -> list[list[bool]]:
        events = [site.events(f"a:{reader}") for reader in readers]
        return [[e.entered for e in of_one if isinstance(e, SegmentChanged)] for of_one in events]

    assert told() == [[]] * 5
    site.publish(CATALOG.replace('count("Read", within="1h") >= 3', 'count("Read", within="1h") >= 2'))
    until(lambda: told() == [[True]] * 5, "they entered")
    n_woken = [sum(isinstance(event, TimedOut) for event in site.events(f"a:{reader}")) for reader in readers]
    assert n_woken == [1] * 5
