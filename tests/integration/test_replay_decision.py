"""``nextbest replay-decision``: a decision is made again bit for bit, from its record and what was learned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventlog.redis_keys import partition_keys
from eventlog.topics import OUTCOMES, Topics
from tests.integration.site import NAMESPACE, Site
from tests.running import stop, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.redis]

CATALOG = """
influence: free
placements:
  home.hero:
    content: [red, green, blue]
    default: red
    window: 400ms
    rewards:
      - event: Clicked
    features: [traits.team, traits.age]
  side.bar:
    content: [red, green]
    default: red
    window: 100ms
    rewards:
      - event: Clicked
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  blue: {type: html, body: <p>blue</p>}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # A checkpoint comes after so many outcomes: the last decisions lie behind one, the first before the oldest.
    with Site.open(tmp_path_factory, CATALOG, NEXTBEST_CHECKPOINT_OUTCOMES="60") as site:
        yield site


def decide(site: Site, n: int) -> dict[str, Any]:
    team = "north" if n % 2 else "south"
    visitor = {"anonymousId": f"v{n}"}
    identify = {"type": "identify", **visitor, "traits": {"team": team, "age": 20 + n % 50}}
    decision = site.decide(visitor, "home.hero", events=[identify])
    if decision["contentId"] == ("green" if team == "north" else "blue"):
        site.reward(decision)
    return decision


def is_learned(site: Site, n: int) -> bool:
    return site.learned("home.hero")[0] >= n


def is_compared(site: Site, n: int) -> bool:
    compared = site.up.call("GET", "/v1/placements/home.hero/model")["calibration"]
    return n <= sum(float(each["outcomes"]) for each in compared)


def let_go(site: Site, n: int) -> None:
    """As the log does once outcomes are older than it keeps them: it holds those from offset ``n`` on."""
    on_server = Topics(prefix=f"{NAMESPACE}.").on_server(OUTCOMES, 1)
    for partition in range(64):
        keys = partition_keys(on_server, partition)
        if site.redis.exists(keys.stream):
            site.redis.xtrim(keys.stream, minid=f"0-{n + 1}", approximate=False)
            site.redis.lset(keys.segments, 0, f"{n} 0 0")


def replayed(site: Site, decision: dict[str, Any], *arguments: str) -> dict[str, Any]:
    """What the command found, once the log has the decision's record, which lingers for a moment."""
    asked = ("replay-decision", decision["decisionId"], "--json", *arguments)
    until(lambda: "the log has no record of" not in site.ran(*asked).stderr, "the decision is recorded")
    found: dict[str, Any] = json.loads(site.command(*asked))
    return found


def test_what_rests_on_somebody_who_was_erased_cannot_be_made_again_and_is_no_failure(site: Site) -> None:
    for n in range(24):
        decision = site.decide({"anonymousId": f"side-{n}"}, "side.bar")
        if n % 2:
            site.reward(decision)
    until(lambda: site.learned("side.bar")[0] >= 24, "all is learned")
    decisions: list[dict[str, Any]] = []

    def is_used() -> bool:
        decisions.append(site.decide({"anonymousId": f"side-last-{len(decisions)}"}, "side.bar"))
        again = replayed(site, decisions[-1])
        assert again["scores"] == "same"
        return bool(again["learned"] >= 24)

    until(is_used, "a decision is made by all that was learned")
    decision = decisions[-1]
    site.up.call("DELETE", "/v1/visitors/side-3?kind=anonymous")
    made: list[dict[str, Any]] = []

    def is_gone() -> bool:
        made.append(replayed(site, decision))
        return bool(made[-1]["scores"] != "same")

    until(is_gone, "the outcome and the copies with it are gone")
    again = made[-1]
    assert (again["choice"], again["scores"]) == ("same", "not made")
    assert "somebody was erased" in again["scores_words"]


def test_decisions_are_made_again_bit_for_bit_while_all_runs_and_when_it_is_stopped(
    site: Site, tmp_path: Path
) -> None:
    prior = decide(site, 0)
    again = replayed(site, prior)
    assert (again["choice"], again["scores"], again["learned"]) == ("same", "same", 0)

    made: list[dict[str, Any]] = []

    def is_used() -> bool:
        made.append(decide(site, 2_000 + len(made)))
        return bool(replayed(site, made[-1])["learned"] > 0)

    until(is_used, "a decision is made by what was learned")
    early, visitor = made[-1], f"v{2_000 + len(made) - 1}"
    for batch in range(8):
        made += [decide(site, 1 + 40 * batch + n) for n in range(40)]
        until(partial(is_learned, site, len(made) - 70), "most is learned and saved")
        if batch == 4:
            base = tmp_path / "base"
            site.command("replay", "--save-base", str(base))
    last = [decide(site, 1_000 + n) for n in range(5)]
    for decision in (early, made[150], made[-1], last[-1]):
        again = replayed(site, decision)
        assert (again["choice"], again["scores"], again["arm"]) == ("same", "same", decision["contentId"])
        assert again["largest_difference"] == 0.0
    assert again["learned"] > 200, "the last ones were decided by a model that had learned"

    shown = site.command("audit", "show", "--trail", "reads", "--visitor", visitor, "--json")
    assert "replay_decision" in {json.loads(line)["act"] for line in shown.splitlines()}

    # The log has let go of the first outcomes: what came after the base can be made again, and nothing before.
    let_go(site, 40)
    first = replayed(site, early)
    assert (first["choice"], first["scores"]) == ("same", "not made")
    assert "lies before what is kept" in first["scores_words"]
    again = replayed(site, last[-1], "--base", str(base))
    assert (again["choice"], again["scores"]) == ("same", "same")
    assert 0 < again["begun_at"] <= again["learned"], "it is begun from a copy"
    assert again["build_then"] == again["build_now"] != ""

    told = json.loads(site.command("model", "home.hero", "--json"))
    assert {arm["arm"] for arm in told["arms"]} == {"red", "green", "blue"}
    assert told["matters"][0]["feature"] == "traits.team"
    assert told["n_learned"] == sum(arm["held"] for arm in told["arms"]) > 200
    shown = site.up.call("GET", "/v1/placements/home.hero/model")
    assert shown["matters"][0]["feature"] == "traits.team"
    until(partial(is_compared, site, 200), "the projector has compared predictions with what came")
    assert "what matters" in site.command("model", "home.hero")
    assert site.ran("model", "nowhere").returncode == 1

    stop(site.up)
    stopped = ("--data-dir", str(site.up.data_dir), "--base", str(base))
    again = replayed(site, last[-1], *stopped)
    assert (again["choice"], again["scores"]) == ("same", "same")
    assert "bit for bit" in site.command("replay-decision", last[-1]["decisionId"], *stopped)
