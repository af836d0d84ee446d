"""Tiers by shares of visitors through real servers: they begin where the share does, whoever computes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from personalization.events.event import TierChanged
from stream.projecting.quantile_census import WHO
from tests.integration.site import NAMESPACE, Site
from tests.integration.test_projector import projector_pid
from tests.running import ROOT, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(600)]

SECRET = "0123456789abcdef0123456789abcdef"
EVERY_MS = 3_000
N_VISITORS = 500
UNCHANGED = "Every stored state is what the log says."
CATALOG = f"""
placements:
  only:
    content: [vip]
    default: plain
content:
  vip: {{type: html, body: <p>vip</p>, when: 'tiers.lead == "hot"'}}
  plain: {{type: html, body: <p>plain</p>}}
scores:
  lead:
    events: [{", ".join(f"{{event: Bit{bit}, points: {2**bit}}}" for bit in range(11))}]
    tiers: {{hot: top 10%, warm: top 40%, cold: rest}}
    hysteresis: 0
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {"NEXTBEST_SECRET": SECRET, "NEXTBEST_THRESHOLDS_MS": str(EVERY_MS)}
    with Site.open(tmp_path_factory, CATALOG, **settings) as site:
        site.secret = SECRET
        yield site


def score_points(site: Site, points: dict[int, int]) -> None:
    """Give visitors, by number, so many points."""
    events = [
        {"type": "track", "event": f"Bit{bit}", "anonymousId": f"v{number}"}
        for number, points_of in points.items()
        for bit in range(11)
        if points_of & 2**bit
    ]
    for first in range(0, len(events), 200):
        site.collect(*events[first : first + 200])


def history(site: Site) -> list[dict[str, Any]]:
    done = site.ran("history", "--computed", "--json", NEXTBEST_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["versions"])


def published_by_people(site: Site) -> list[int]:
    return [entry["version"] for entry in json.loads(site.command("history", "--json"))["versions"]]


def thresholds(site: Site) -> dict[str, Any] | None:
    known: dict[str, Any] | None = history(site)[0]["thresholds"].get("lead")
    return known


def until_hot_begins(site: Site, low: float, high: float) -> None:
    def begins() -> bool:
        known = thresholds(site)
        return known is not None and low <= (dict(known["points"])[0.1] or 0) <= high

    until(begins, f"hot begins between {low:g} and {high:g} points")


def lead(site: Site, number: int) -> dict[str, Any]:
    found: dict[str, Any] = site.up.call("GET", f"/v1/visitors/v{number}")["scores"]["lead"]
    return found


def tiers(site: Site) -> Counter[str]:
    with ThreadPoolExecutor(4) as threads:
        return Counter(threads.map(lambda number: lead(site, number)["tier"], range(1, N_VISITORS + 1)))


def until_in_force(site: Site) -> None:
    newest = history(site)[0]["version"]
    visitor = {"anonymousId": "nobody"}
    until(
        lambda: site.call("/v1/decide", {"visitor": visitor, "placements": ["only"]})["catalogVersion"] >= newest,
        "",
    )


def check_replay(site: Site) -> None:
    done = site.ran("replay", "--check", NEXTBEST_SECRET=SECRET)
    assert done.returncode == 0, done.stdout + done.stderr
    assert UNCHANGED in done.stdout


@contextmanager
def projector(site: Site, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A second one, which stands by: on Redis one alone reads."""
    said = folder / "projector.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
    settings = {
        "PYTHONPATH": str(ROOT),
        "NEXTBEST_REDIS": site.up.redis_url(),
        "NEXTBEST_NAMESPACE": NAMESPACE,
        "NEXTBEST_SECRET": SECRET,
        "NEXTBEST_DATA_DIR": str(site.up.data_dir),
        "NEXTBEST_THRESHOLDS_MS": str(EVERY_MS),
        "NEXTBEST_LEASE_MS": "1500",
        "NEXTBEST_METRICS_PORT": "0",
    }
    with said.open("wb") as out:
        command = [sys.executable, "-P", "-m", "cli", "projector"]
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**environment, **settings})
    try:
        until(lambda: b"[^-Consumer]: Starting" in said.read_bytes(), "it stands by")
        yield process
    finally:
        process.kill()
        process.wait()


def test_of_few_visitors_nobody_reaches_a_tier_and_the_doctor_says_why(site: Site) -> None:
    score_points(site, {number: number for number in range(1, 51)})
    until(lambda: site.up.event_count("v50") > 0, "the last is folded")
    found = lead(site, 50)
    assert (found["points"], found["tier"]) == (50, "cold")
    assert found["threshold"].startswith("nobody reaches another tier before thresholds are computed")
    assert thresholds(site) is None
    said = site.ran("doctor", "--json", NEXTBEST_SECRET=SECRET).stdout
    assert "the tiers of lead begin nowhere yet" in said


def test_the_top_tenth_is_a_tenth(site: Site) -> None:
    score_points(site, {number: number for number in range(51, N_VISITORS + 1)})
    until_hot_begins(site, 451, 451)
    until_in_force(site)
    newest = history(site)[0]
    assert (newest["who"], thresholds(site) or {})[0] == WHO
    assert newest["changes"][0].startswith("scores.lead: hot from 45")
    assert published_by_people(site) == [1]
    assert f"Version {newest['version']} is in force: computed thresholds" in site.command("history")
    found = tiers(site)
    assert found == {"hot": 50, "warm": 150, "cold": 300}
    assert "the top 10% of 500 visitors at 20" in lead(site, N_VISITORS)["threshold"]
    assert site.decide({"anonymousId": f"v{N_VISITORS}"}, "only")["contentId"] == "vip"
    assert site.decide({"anonymousId": "v1"}, "only")["contentId"] == "plain"


def test_the_first_thresholds_are_told_of_though_nobody_acts(site: Site) -> None:
    def told() -> list[tuple[str, str]]:
        return [(e.before, e.tier) for e in site.events(f"a:v{N_VISITORS}") if isinstance(e, TierChanged)]

    until(lambda: told()[-1:] != [] and told()[-1][1] == "hot", "who has the most points is told of")
    check_replay(site)


def test_states_are_what_the_log_says_whatever_the_thresholds_were(site: Site) -> None:
    score_points(site, dict.fromkeys(range(1, 101), 512))
    until_hot_begins(site, 561, 568)
    until_in_force(site)
    assert lead(site, N_VISITORS)["tier"] == "warm"
    site.collect({"type": "track", "event": "Looked", "anonymousId": f"v{N_VISITORS}"})

    def told() -> list[tuple[str, str]]:
        return [(e.before, e.tier) for e in site.events(f"a:v{N_VISITORS}") if isinstance(e, TierChanged)]

    until(lambda: told()[-1] == ("hot", "warm"), "a moved threshold is told at the next event")
    check_replay(site)


def test_of_two_projectors_either_may_be_killed_in_the_middle(site: Site, tmp_path: Path) -> None:
    with projector(site, tmp_path) as second:
        score_points(site, dict.fromkeys(range(1, 101), 1_024))
        os.kill(projector_pid(site.up), signal.SIGKILL)
        until_hot_begins(site, 1_580, 1_600)
        score_points(site, dict.fromkeys(range(1, 101), 1_024))
        second.kill()
        second.wait()
        until_hot_begins(site, 2_600, 2_625)
    until_in_force(site)
    found = tiers(site)
    assert found["hot"] == 50, found
    check_replay(site)


def test_who_edits_and_who_rolls_back_keeps_the_newest_thresholds(site: Site) -> None:
    before = thresholds(site)
    assert before is not None
    site.publish(CATALOG.replace("<p>vip</p>", "<p>very important</p>"))
    until(lambda: len(published_by_people(site)) == 2, "what was saved is published")
    assert thresholds(site) == before
    done = site.ran("rollback", "1", NEXTBEST_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    assert thresholds(site) == before
    assert len(published_by_people(site)) == 3
    until_in_force(site)
    check_replay(site)
