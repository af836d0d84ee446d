"""Variants from the catalog to what was learned: each decided, logged, learned and counted by itself."""

from __future__ import annotations

import re
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from eventlog.topics import DECISIONS
from personalization.events.decision_record import decode_record
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero:
    content: [red, green]
    default: red
    window: 300ms
    holdout: 10%
    rewards:
      - event: Clicked
    variants:
      own: {share: 40%, policy: uniform, content: [green, blue]}
      same: {share: 30%, learn: shared}
content:
  red: {body: {}}
  green: {body: {}}
  blue: {body: {}}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""
N_VISITORS = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


def test_each_variant_is_decided_logged_learned_and_counted_by_itself(site: Site) -> None:
    decided: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for n in range(N_VISITORS):
        visitor = {"anonymousId": f"v{n}"}
        decision = site.decide(visitor, "hero")
        side = "control" if decision["holdout"] else decision["variant"] or ""
        decided[side].append(decision)
        assert (decision["policy"] == "uniform") is (side == "own")
        assert decision["contentId"] in {"own": ("green", "blue")}.get(side, ("red", "green"))
        assert site.decide({**visitor, "userId": f"u{n}"}, "hero", activate=False)["variant"] == decision["variant"]
        if side == "own":
            site.collect(
                {"type": "track", "event": "Clicked", "properties": {"contentId": decision["contentId"]}, **visitor}
            )
    assert set(decided) == {"", "own", "same", "control"}

    shown = {each["decisionId"]: side for side, group in decided.items() for each in group}
    until(lambda: len(outcomes(site).keys() & shown.keys()) == N_VISITORS, "every window has closed")
    for decision_id, (key, outcome) in outcomes(site).items():
        if decision_id in shown:
            side = shown[decision_id]
            assert key == ("hero@own" if side == "own" else "hero")
            assert outcome.choice.variant == ("" if side == "control" else side)
            assert outcome.choice.holdout is (side == "control")
            assert outcome.reward == float(side == "own")
    records = (decode_record(value) for _, _, value in site.raw(DECISIONS))
    said = {each.choice.decision_id: each.choice.variant for each in records}
    assert all(said[decision_id] == side for decision_id, side in shown.items() if side != "control")

    n_own, n_shared = len(decided["own"]), len(decided[""]) + len(decided["same"])

    def report() -> Any:
        return site.up.call("GET", "/v1/placements/hero")

    until(lambda: report()["variants"]["own"]["learned"] == n_own, "the variant's own model has learned")
    until(lambda: report()["learned"] == n_shared, "the placement's has learned from the others, control aside")
    until(lambda: exposures(report()["variants"]["own"]) == n_own, "and it is in the checkpoint")
    until(lambda: exposures(report()) == n_shared, "so is the placement's")
    variants = report()["variants"]
    assert {name: (each["share"], each["learn"]) for name, each in variants.items()} == {
        "own": (0.4, "own"),
        "same": (0.3, "shared"),
    }
    assert sum(arm["rewards"] for arm in variants["own"]["arms"]) == n_own
    assert sum(arm["rewards"] for arm in report()["arms"]) == 0
    counted = rewards(site)
    assert {side: n for side, (n, _) in counted.items()} == {side: len(group) for side, group in decided.items()}
    assert {side: total for side, (_, total) in counted.items() if total} == {"own": n_own}


def outcomes(site: Site) -> dict[str, tuple[str, Any]]:
    """By decision id, the key it stands under and the outcome."""
    return {
        decision_id: (key, outcome)
        for key in ("hero", "hero@own")
        for decision_id, outcome in site.outcomes(key).items()
    }


def exposures(shown: Any) -> int:
    return int(sum(arm["exposures"] for arm in shown["arms"]))


def rewards(site: Site) -> dict[str, tuple[int, float]]:
    """By side, how many decisions were closed and what they earned, as the folder counts them."""
    words = next(line for line in site.up.said if line.startswith("  metrics "))
    (address,) = re.findall(r"folder (http://\S+/metrics)", words)
    with urllib.request.urlopen(address, timeout=10) as page:
        text = page.read().decode()
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for kind, variant, value in re.findall(
        r'^nextbest_reward_(count|sum)\{placement="hero",variant="(\w*)"\} (\S+)$', text, re.MULTILINE
    ):
        found[variant][kind] = float(value)
    return {variant: (int(each["count"]), each["sum"]) for variant, each in found.items()}
