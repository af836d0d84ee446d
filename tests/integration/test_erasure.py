"""The rule *Erasure* through real servers: all that is kept of a person can be seen, and is found nowhere later."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from eventlog.opening import open_log
from eventlog.port import Record
from eventlog.topics import VISITOR_LOG, Topics
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Track
from tests.integration.site import NAMESPACE, Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  home:
    content: [a, b]
    default: a
    rewards: [{event: Clicked, value: 1}]
    window: 2s
    features: [traits.email, traits.city]
  rivers:
    content: [a, b]
    default: a
    rewards: [{event: Clicked, value: 1}]
    window: 2s
    features: [traits.email, traits.city]
    model: river.linear_model.LogisticRegression
conversions:
  orders: {event: Ordered, horizon: 1s, features: [traits.email, traits.city]}
content:
  a: {type: json, body: {n: 1}}
  b: {type: json, body: {n: 2}}
sources:
  page:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
  asking:
    write_keys: [pk_asking]
    consent_default: denied
"""
JANE, BROWSER, PLANTED = "jane@shop.example", "browser-7f3a", "planted-91c2"
KEYS = (f"u:{JANE}", f"a:{BROWSER}")
SECRETS = (JANE, BROWSER, PLANTED)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG, NEXTBEST_ENCRYPT="off") as site:
        yield site


def lives_here(site: Site) -> None:
    """A browser that looks around, and turns out to be Jane's; what she is shown is learned."""
    context = {"page": {"url": f"https://shop.example/{PLANTED}"}}
    site.collect({"type": "track", "event": "Viewed", "anonymousId": BROWSER, "context": context})
    shown = site.decide({"anonymousId": BROWSER}, "home", context=context)
    site.collect({"type": "track", "event": "Clicked", "anonymousId": BROWSER})
    site.collect(
        {"type": "identify", "userId": JANE, "anonymousId": BROWSER, "traits": {"email": PLANTED, "city": "Leeds"}}
    )
    until(lambda: site.state(KEYS[0]).traits.get("email") == PLANTED, "she is known")
    until(lambda: site.state(KEYS[1]).redirect == KEYS[0], "and the browser is hers")
    site.decide({"userId": JANE, "anonymousId": BROWSER}, "home", context=context)
    site.collect({"type": "track", "event": "Ordered", "userId": JANE, "properties": {"note": PLANTED}})
    until(lambda: shown["decisionId"] in site.outcomes("home"), "her first outcome is there")


def erased(site: Site, visitor_id: str = JANE) -> dict[str, Any]:
    status, report = site.request("DELETE", f"/v1/visitors/{visitor_id}", Prefer="wait=30")
    assert (status, report["status"]) == (200, "done")
    return dict(report)


def inflated(value: bytes) -> Iterator[bytes]:
    """What a value says once its compressed parts are read, as conversion models have some."""
    yield value
    for found in re.finditer(b"\x78\x01", value):
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(value[found.start() :])


def everything_in_redis(site: Site, names: str = "*") -> bytes:
    redis: Any = site.redis
    readers: dict[bytes, Callable[[bytes], Iterable[bytes]]] = {
        b"string": lambda name: [redis.get(name) or b""],
        b"hash": lambda name: [part for pair in redis.hgetall(name).items() for part in pair],
        b"list": lambda name: redis.lrange(name, 0, -1),
        b"set": lambda name: redis.smembers(name),
        b"zset": lambda name: redis.zrange(name, 0, -1),
        b"stream": lambda name: [part for _, fields in redis.xrange(name) for part in fields.values()],
        b"none": lambda name: [],  # it has just expired
    }
    found = list(redis.scan_iter(match=names, count=1000))
    values = (part for name in found for part in (name, *readers[redis.type(name)](name)))
    return b"\n".join(part for value in values for part in inflated(value))


def files_with(folder: Path, text: str) -> list[str]:
    needle = text.encode()
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and needle in path.read_bytes():
                found.append(str(path.relative_to(folder)))
        except FileNotFoundError:
            continue  # Redis has just rewritten it
    return found


def is_in_no_file(site: Site, text: str) -> bool:
    return files_with(site.up.data_dir, text) == []


def test_a_person_sees_all_that_is_kept_and_it_is_found_nowhere_afterwards(site: Site) -> None:
    lives_here(site)
    status, export = site.request("GET", f"/v1/visitors/{JANE}/export")
    assert status == 200
    assert export["ids"] == [{"kind": "user", "id": JANE}, {"kind": "anonymous", "id": BROWSER}]
    assert export["states"][0]["profile"]["traits"] == {"email": PLANTED, "city": "Leeds"}
    types = [entry["entry"]["event"]["type"] for entry in export["log"]["visitor-log"]]
    assert {"track", "identify", "decision", "link", "merged"} <= set(types)
    assert {entry["key"] for entry in export["log"]["decisions"]} == set(KEYS)
    assert {entry["key"] for entry in export["log"]["outcomes"]} == {"home", "conversion:orders"}
    by_browser = site.request("GET", f"/v1/visitors/{BROWSER}/export")[1]
    assert [state["key"] for state in by_browser["states"]] == list(KEYS)

    before = everything_in_redis(site)
    assert all(text.encode() in before for text in SECRETS)
    report = erased(site)
    assert report["nIds"] == 2
    assert report["removed"]["visitors"] == 2
    assert report["removed"]["decisions"] == 2
    assert report["removed"]["visitor-log"] >= len(types)
    assert report["removed"]["outcomes"] >= 1
    assert all(remaining["what"] for remaining in report["remains"])
    after = everything_in_redis(site)
    assert [text for text in SECRETS if text.encode() in after] == []
    for text in SECRETS:
        until(functools.partial(is_in_no_file, site, text), f"{text} is in no file")
    assert site.request("GET", f"/v1/visitors/{JANE}")[0] == 404
    assert site.request("GET", f"/v1/visitors/{JANE}/export")[0] == 404
    assert site.request("GET", f"/v1/erasures/{report['erasureId']}")[1] == report


def test_who_comes_back_is_new_and_late_entries_bring_nothing_back(site: Site) -> None:
    lives_here(site)
    received_ms = time.time_ns() // 1_000_000
    erased(site)
    append(site, KEYS[0], Track(message_id="late", event=f"Viewed {PLANTED}"), received_ms)
    site.collect({"type": "track", "event": "Viewed", "userId": JANE})
    until(lambda: site.state(KEYS[0]).event_count == 1, "she is back, and new")
    assert site.state(KEYS[0]).traits == {}
    assert set(site.state(KEYS[0]).counts) == {"Viewed"}
    until(lambda: PLANTED.encode() not in everything_in_redis(site), "what came late is out of the log again")
    erased(site)


MODELS = (
    "model:home",
    "model:rivers",
    "conversion:orders",
    "learner:*:home",
    "learner:*:rivers",
    "learner:*:orders",
)


def know(site: Site, text: str) -> list[str]:
    """Of models and their checkpoints, those in which the text stands."""
    needle = text.encode()
    return [name for name in MODELS if needle in everything_in_redis(site, f"{NAMESPACE}:{name}")]


def comes_by(site: Site, user_id: str, **traits: str) -> None:
    """Somebody whose traits are known is shown something twice, and clicks."""
    site.collect({"type": "identify", "userId": user_id, "traits": traits})
    until(lambda: site.state(f"u:{user_id}").traits == traits, f"{user_id} is known")
    for placement in ("home", "rivers"):
        site.decide({"userId": user_id}, placement)
    site.collect({"type": "track", "event": "Clicked", "userId": user_id})


def test_models_forget_what_one_person_alone_has_brought(site: Site) -> None:
    comes_by(site, "james", city="York")
    comes_by(site, JANE, city="York", email=PLANTED)
    until(lambda: know(site, PLANTED) == know(site, "York") == list(MODELS), "all models know her, checkpoints too")
    n_before = site.learned("home")
    report = erased(site)
    assert know(site, PLANTED) == []
    assert know(site, "York") == list(MODELS)
    assert site.learned("home") == n_before
    assert any("River's models" in remaining["what"] for remaining in report["remains"])
    comes_by(site, "jack", city="Ripon")
    until(lambda: know(site, "Ripon") == list(MODELS), "they learn on")
    assert know(site, PLANTED) == []


def append(site: Site, key: str, event: Track, received_ms: int) -> None:
    """As a collector's spool does after an outage."""
    entry = Entry(received_at_ms=received_ms, occurred_at_ms=4_102_444_800_000, catalog_version=1, event=event)

    async def run() -> None:
        log = open_log(site.log_url, Topics(prefix=f"{NAMESPACE}."))
        try:
            await log.append([Record(VISITOR_LOG, key, encode_entry(entry))])
        finally:
            await log.close()

    asyncio.run(run())


def test_others_keep_what_is_theirs(site: Site) -> None:
    site.collect(
        {"type": "track", "event": "Referred", "userId": "john", "properties": {"by": JANE}},
        {"type": "identify", "userId": "john", "traits": {"city": "York"}},
    )
    until(lambda: site.state("u:john").traits == {"city": "York"}, "he is known")
    lives_here(site)
    erased(site)
    assert site.state("u:john").event_count == 2
    assert any(getattr(event, "event", "") == "Referred" for event in site.events("u:john"))


def test_the_log_can_be_replayed_though_its_first_entries_are_gone(site: Site) -> None:
    lives_here(site)
    erased(site)
    erased(site, "nobody-at-all")
    assert "Every stored state is what the log says." in site.command("replay", "--check")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", f"/v1/visitors/{JANE}/export"), ("DELETE", f"/v1/visitors/{JANE}")]
)
def test_no_page_exports_or_erases_anybody(site: Site, method: str, path: str) -> None:
    assert site.request(method, path, key="pk_dev")[0] == 403


def test_an_id_of_two_kinds_asks_which(site: Site) -> None:
    for name in ("userId", "anonymousId"):
        site.collect({"type": "track", "event": "Viewed", name: "both-77"})
    for key in ("u:both-77", "a:both-77"):
        assert site.state(key).event_count == 1
    status, body = site.request("DELETE", "/v1/visitors/both-77")
    assert (status, body["field"]) == (400, "kind")
    erased(site, "both-77?kind=anonymous")
    assert site.state("u:both-77").event_count == 1
    assert site.redis.get(site.keys.visitor("a:both-77")) is None


def test_whoever_does_not_wait_is_told_where_to_look(site: Site) -> None:
    status, asked = site.request("DELETE", "/v1/visitors/somebody", Prefer="respond-async")
    assert (status, asked["status"]) == (202, "pending")
    until(lambda: site.request("GET", f"/v1/erasures/{asked['erasureId']}")[1]["status"] == "done", "it is done")
    assert site.request("GET", "/v1/erasures/unknown")[0] == 404


def test_a_grant_that_was_erased_is_one_no_more(site: Site) -> None:
    def accepted(path: str, body: dict[str, Any]) -> Any:
        asked = urllib.request.Request(
            f"{site.up.url}{path}",
            json.dumps(body).encode(),
            {"Authorization": "Bearer pk_asking", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read()).get("accepted")

    event = {"type": "track", "event": "Viewed", "anonymousId": "agreed-5d1c"}
    assert accepted("/v1/events", event) == 0
    accepted("/v1/consent", {"visitor": {"anonymousId": "agreed-5d1c"}, "purposes": {"personalization": True}})
    assert accepted("/v1/events", event) == 1
    until(lambda: site.state("a:agreed-5d1c").event_count > 0, "they are known")
    erased(site, "agreed-5d1c")
    assert accepted("/v1/events", event) == 0
