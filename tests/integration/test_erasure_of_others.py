"""The rule *Erasure* at its edges: shared devices, what comes late, people with many browsers, who comes back."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from eventlog.opening import open_log
from eventlog.port import Record
from eventlog.topics import DECISIONS, VISITOR_LOG, Topics
from personalization.events.decision_record import decode_record
from personalization.events.entry import decode_entry
from personalization.events.event import DecisionMade
from tests.integration.site import NAMESPACE, Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  home:
    content: [a, b]
    default: a
content:
  a: {type: json, body: {n: 1}}
  b: {type: json, body: {n: 2}}
sources:
  page:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""
UNCHANGED = "Every stored state is what the log says."


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG, NEXTBEST_ENCRYPT="off") as site:
        yield site


def erase(site: Site, visitor_id: str) -> dict[str, Any]:
    status, report = site.request("DELETE", f"/v1/visitors/{visitor_id}", Prefer="wait=30")
    assert (status, report["status"]) == (200, "done")
    return dict(report)


def does(site: Site, name: str, **ids: str) -> None:
    site.collect({"type": "track", "event": name, **ids})


def logs_in(site: Site, user: str, browser: str) -> None:
    site.collect({"type": "identify", "userId": user, "anonymousId": browser, "traits": {"name": user}})
    until(lambda: site.state(f"a:{browser}").redirect == f"u:{user}", f"{browser} is {user}'s")


def is_shown(site: Site, tablet: str, n: int) -> None:
    """The tablet is shown something, for the ``n``-th time."""
    site.decide({"anonymousId": tablet}, "home")
    until(lambda: sum(isinstance(each, DecisionMade) for each in site.events(f"a:{tablet}")) == n, "the log has it")


def share(site: Site, tablet: str, alice: str, bob: str) -> None:
    """Alice looks around and logs in, then Bob does."""
    does(site, "Alice looks", anonymousId=tablet)
    is_shown(site, tablet, 1)
    logs_in(site, alice, tablet)
    does(site, "Alice buys", userId=alice, anonymousId=tablet)
    does(site, "Bob looks", anonymousId=tablet)
    is_shown(site, tablet, 2)
    logs_in(site, bob, tablet)
    does(site, "Bob buys", userId=bob, anonymousId=tablet)
    until(lambda: {"Alice looks", "Alice buys"} <= set(site.state(f"u:{alice}").counts), "hers is hers")
    until(lambda: {"Bob looks", "Bob buys"} <= set(site.state(f"u:{bob}").counts), "his is his")


def test_who_shared_a_device_keeps_what_is_theirs(site: Site) -> None:
    share(site, "tablet", "alice", "bob")
    alice, before = site.state("u:alice"), site.events("u:alice")
    erase(site, "bob")
    assert site.events("u:alice") == before
    assert site.state("u:alice") == alice
    assert UNCHANGED in site.command("replay", "--check")


def test_an_export_shows_nobody_else(site: Site) -> None:
    share(site, "tablet.kept", "alice.kept", "bob.kept")
    alices, bobs = (
        json.dumps(site.request("GET", f"/v1/visitors/{name}/export")[1]) for name in ("alice.kept", "bob.kept")
    )
    assert "Bob looks" in bobs
    assert "alice" not in bobs.lower()
    assert "bob" not in alices.lower()
    assert len(json.loads(bobs)["log"]["decisions"]) == 1


def test_after_an_unlink_the_browser_is_erased_and_the_user_is_not(site: Site) -> None:
    does(site, "Carol looks", anonymousId="tv")
    logs_in(site, "carol", "tv")
    site.call("/v1/unlink", {"anonymousId": "tv", "userId": "carol"}, "sk_dev")
    until(lambda: site.state("a:tv").redirect is None, "it is nobody's")
    does(site, "Somebody looks", anonymousId="tv")
    until(lambda: site.state("a:tv").event_count == 1, "somebody is there")
    carol = site.state("u:carol")
    erase(site, "tv")
    assert site.redis.get(site.keys.visitor("a:tv")) is None
    assert site.state("u:carol") == carol
    names = [getattr(event, "event", "") for event in site.events("a:tv")]
    assert "Carol looks" in names, "what was hers is hers"
    assert "Somebody looks" not in names


def n_dropped(site: Site) -> float:
    """Entries that the folder dropped as those of somebody erased."""
    (address,) = re.findall(r"folder (http://\S+/metrics)", "".join(site.up.said))
    with urllib.request.urlopen(address, timeout=10) as answer:
        shown = answer.read().decode()
    pattern = r'nextbest_entries_total\{outcome="dropped",reason="erased"\} (\S+)'
    return sum(map(float, re.findall(pattern, shown)))


def test_an_open_page_brings_nobody_back(site: Site) -> None:
    before = n_dropped(site)
    shown = site.decide({"anonymousId": "late"}, "home", activate=False)
    until(lambda: site.state("a:late").unit != b"", "it is folded")
    erase(site, "late")
    site.activate(shown)
    site.reward(shown)
    until(lambda: n_dropped(site) == before + 2, "both were seen, and dropped")
    assert list(site.redis.scan_iter("*late*")) == []
    assert site.raw_keys(VISITOR_LOG).isdisjoint({"a:late"})


def test_decisions_that_waited_in_a_spool_are_tidied_up(site: Site) -> None:
    site.decide({"anonymousId": "spooled"}, "home")
    until(lambda: site.state("a:spooled").unit != b"", "it is folded")
    late = [
        (topic, key, value) for topic in (VISITOR_LOG, DECISIONS) for key, _, value in site.raw(topic)
        if key == "a:spooled" and (topic == DECISIONS or isinstance(decode_entry(value).event, DecisionMade))
    ]  # fmt: skip
    assert [topic for topic, _, _ in late] == [VISITOR_LOG, DECISIONS]
    assert decode_record(late[1][2]).key == "a:spooled"
    erase(site, "spooled")

    async def come() -> None:
        log = open_log(site.log_url, Topics(prefix=f"{NAMESPACE}."))
        try:
            await log.append([Record(*each) for each in late])
        finally:
            await log.close()

    asyncio.run(come())
    until(lambda: "a:spooled" not in site.raw_keys(DECISIONS), "its record is gone")
    until(lambda: "a:spooled" not in site.raw_keys(VISITOR_LOG), "and its entry")


def test_a_person_with_many_browsers_is_erased_soon_and_holds_up_nobody(site: Site) -> None:
    n_browsers = 1_500
    for first in range(0, n_browsers, 500):
        site.collect(
            *(
                {"type": "identify", "userId": "crowd", "anonymousId": f"crowd-{n}", "traits": {"n": 1}}
                for n in range(first, first + 500)
            )
        )
    last = f"a:crowd-{n_browsers - 1}"
    until(lambda: site.state(last).redirect == "u:crowd", "all are one person's")
    assert erase(site, "crowd")["nIds"] == n_browsers + 1, "done while its caller waits"
    assert list(site.redis.scan_iter("*crowd*")) == []


def test_a_replay_knows_who_came_back(site: Site) -> None:
    does(site, "Viewed", userId="back")
    until(lambda: site.state("u:back").event_count == 1, "known")
    erase(site, "back")
    does(site, "Viewed", userId="back")
    until(lambda: site.state("u:back").event_count == 1, "back, and new")
    assert UNCHANGED in site.command("replay", "--check")
