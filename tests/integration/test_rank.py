"""Rankings through real servers: what is clicked is learned, and a new item starts from its features."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  results:
    arms: caller
    rewards: [{event: Clicked, arm: properties.itemId}]
    window: 2s
    features: [device]
content: {none: {}}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""
SECTIONS = ("sport", "politics", "culture", "travel")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


def rank(site: Site, visitor: str, prefix: str) -> Any:
    items = [{"id": f"{prefix}-{section}", "features": {"section": section}} for section in SECTIONS]
    body = {"visitor": {"anonymousId": visitor}, "placement": "results", "items": items}
    return site.up.call("POST", "/v1/rank", body)


def test_what_is_clicked_is_learned_of_items_that_nobody_sees_again(site: Site) -> None:
    draw = random.Random(1)
    n_sport = 0
    for n in range(300):
        visitor = f"r{n}"
        chosen = rank(site, visitor, f"day{n % 40}")["decisions"][0]["itemId"]
        n_sport += chosen.endswith("sport")
        if draw.random() < (0.8 if chosen.endswith("sport") else 0.1):
            site.collect(
                {"type": "track", "event": "Clicked", "anonymousId": visitor, "properties": {"itemId": chosen}}
            )
    until(lambda: len(site.outcomes("results")) == 300, "every window closed")
    outcomes = list(site.outcomes("results").values())
    clicked = [outcome for outcome in outcomes if outcome.reward]
    assert {outcome.arm_features["section"] for outcome in outcomes} == set(SECTIONS)
    assert sum(outcome.arm_features["section"] == "sport" for outcome in clicked) > len(clicked) / 2
    until(lambda: site.learned("results")[0] == 300, "the model learned of all")

    def share_of_sport() -> float:
        ranked = [rank(site, f"new{n}", "tomorrow")["ranking"] for n in range(20)]
        shares = [each["probability"] for one in ranked for each in one if each["id"] == "tomorrow-sport"]
        return float(sum(shares) / len(shares))

    until(lambda: share_of_sport() > 0.4, "an item of tomorrow starts from what its section did")
