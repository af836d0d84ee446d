"""``nextbest evaluate``: what is in force brought what was logged, another policy about what it brings in truth."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.site import Site
from tests.running import stop, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.redis]

CATALOG = """
influence: free
placements:
  home.hero:
    content: [red, green, blue]
    default: red
    window: 2s
    holdout: 0.1
    policy: {name: epsilon_greedy, parameters: {epsilon: 0.5}}
    features: [traits.team, segments]
    variants:
      bold: {share: 0.3, learn: shared, policy: {name: epsilon_greedy, parameters: {epsilon: 0.9}}}
  side.bar:
    content: [red, green]
    default: red
    window: 1h
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  blue: {type: html, body: <p>blue</p>}
segments:
  northern: traits.team == "north"
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""
CHANCES = {"red": 0.3, "green": 0.6, "blue": 0.3}
N_VISITORS = 450


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


def evaluated(site: Site, *arguments: str, placement: str = "home.hero") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.command("evaluate", placement, "--json", *arguments))
    return found


def refusal(site: Site, *arguments: str, placement: str = "home.hero") -> str:
    """The one sentence, with nothing but reasons in its JSON."""
    done = site.ran("evaluate", placement, "--json", *arguments)
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert told["value"] is told["logged"] is told["difference"] is None
    assert told["missing"] in done.stderr
    bare = site.ran("evaluate", placement, *arguments)
    assert (bare.returncode, bare.stdout) == (3, "")
    return str(told["missing"])


def test_another_policy_is_evaluated_on_what_was_logged(site: Site) -> None:
    assert "No window of home.hero has closed" in refusal(site, "--policy", "uniform")
    draw = random.Random(9)
    decided: set[str] = set()
    for n in range(N_VISITORS):
        visitor = {"anonymousId": f"v{n}"}
        identify = {"type": "identify", **visitor, "traits": {"team": "north" if n % 3 else "south"}}
        decision = site.decide(visitor, "home.hero", events=[identify])
        if draw.random() < CHANCES[decision["contentId"]]:
            site.reward(decision)
        if not decision["holdout"]:
            decided.add(decision["decisionId"])

    until(lambda: decided <= site.outcomes("home.hero").keys(), "every window has closed")
    until(lambda: "no record" not in evaluated(site, "--policy", "logged")["left_out"], "records are in the log")

    logged = evaluated(site, "--policy", "logged")
    closed = site.outcomes("home.hero")
    mean = sum(closed[decision_id].reward for decision_id in decided) / len(decided)
    assert logged["n_decisions"] == logged["n_units"] == len(decided)
    assert logged["value"]["value"] == pytest.approx(mean, rel=1e-9)
    assert logged["estimates"]["ips"]["value"] == pytest.approx(mean, rel=1e-9)
    assert logged["left_out"] == {"held out": N_VISITORS - len(decided)}

    truths = {"uniform": sum(CHANCES.values()) / 3, "fixed:green": CHANCES["green"]}
    for policy, truth in truths.items():
        found = evaluated(site, "--policy", policy)
        for estimate in found["estimates"].values():
            assert abs(estimate["value"] - truth) < 4 * estimate["standard_error"]
            assert estimate["standard_error"] < 0.1
        assert found["unsupported_share"] == 0.0

    # The policy in force, named: it would have done what it did, but for the variant.
    again = evaluated(site, "--policy", 'epsilon_greedy:{"epsilon": 0.5}')
    assert again["overlap"] > 0.85
    assert evaluated(site, "--policy", "bold")["overlap"] > 0.7

    northern = evaluated(site, "--policy", "uniform", "--segment", "northern")
    assert 0.6 * len(decided) < northern["n_decisions"] < 0.75 * len(decided)

    assert f"{len(decided):,} other time" in refusal(site, "--policy", "uniform", "--since", "2200-01-01")

    words = site.command("evaluate", "home.hero", "--policy", "fixed:green")
    assert "fixed:green would have brought" in words
    assert "95 % interval" in words

    for arguments, message in {
        ("--policy", "best"): "there is no policy 'best'",
        ("--policy", "fixed:purple"): "purple",
        ("--policy", "uniform", "--segment", "western"): "no segment 'western'",
    }.items():
        done = site.ran("evaluate", "home.hero", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
    assert "no placement 'nowhere'" in site.ran("evaluate", "nowhere", "--policy", "uniform").stderr
    assert "No window of side.bar has closed" in refusal(site, "--policy", "uniform", placement="side.bar")

    stop(site.up)
    stopped = evaluated(site, "--policy", "logged", "--data-dir", str(site.up.data_dir))
    assert stopped["value"] == logged["value"]
