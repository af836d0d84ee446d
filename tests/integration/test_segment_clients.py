"""Clients of Segment's wire against real servers: what they send is known to the next decision, and learned."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import rudderstack.analytics.client as rudderstack
import segment.analytics.client as segment
from playwright.sync_api import Page

from eventlog.topics import VISITOR_LOG
from personalization.events.event import Track
from tests.clients import node
from tests.clients.browser import page_in, write_page
from tests.clients.losing import Losing, losing
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero: {content: [red, green], default: red, window: 1h, reward_range: [0, 10], rewards: [{event: Clicked}]}
  theme: {content: [free, pro], default: free, window: 1h}
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  free: {body: {plan: free}, when: '!has(traits.plan) || traits.plan != "pro"'}
  pro: {body: {plan: pro}, when: 'has(traits.plan) && traits.plan == "pro"'}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""

Send = Callable[[str, str, list[dict[str, Any]]], list[Any]]
"""Has a client send messages to a URL by a key, and shuts it down; what it was told of failures."""


class SiteBesideABrowser(Site):
    """The browser's driver runs an event loop in the test's thread, so the log is read in another."""

    def raw(self, topic: str) -> list[tuple[str, int, bytes]]:
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(super().raw, topic).result()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with SiteBesideABrowser.open(tmp_path_factory, CATALOG) as site:
        yield site


_numbers = itertools.count(1)


@pytest.fixture
def user() -> str:
    return f"user-{next(_numbers)}"


def by_segment_python(url: str, key: str, messages: list[dict[str, Any]]) -> list[Any]:
    failures: list[Any] = []
    client = segment.Client(key, host=url, gzip=True, on_error=lambda error, _: failures.append(error))
    for message in messages:
        _call(client, **message)
    client.shutdown()
    return failures


def by_rudderstack_python(url: str, key: str, messages: list[dict[str, Any]]) -> list[Any]:
    failures: list[Any] = []
    client = rudderstack.Client(key, host=url, on_error=lambda error, _: failures.append(error))
    for message in messages:
        _call(client, **message)
    client.shutdown()
    return failures


def _call(client: Any, type: str, **message: Any) -> None:
    snake = {"userId": "user_id", "messageId": "message_id", "previousId": "previous_id"}
    getattr(client, type)(**{snake.get(name, name): value for name, value in message.items()})


def by_node(client: str) -> Send:
    def send(url: str, key: str, messages: list[dict[str, Any]]) -> list[Any]:
        failures: list[Any] = node.run(
            "segment_server.mjs", {"client": client, "url": url, "key": key, "messages": messages}
        )
        return failures

    return send


CLIENTS: dict[str, Send] = {
    "segment-python": by_segment_python,
    "rudderstack-python": by_rudderstack_python,
    "segment-node": by_node("segment"),
    "rudderstack-node": by_node("rudderstack"),
    "customerio-node": by_node("customerio"),
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def n_events(site: Site, user: str) -> int:
    """How many distinct events count for a user."""
    status, shown = site.request("GET", f"/v1/visitors/{user}?kind=user")
    assert status == 200
    return int(shown["eventCount"])


def sees_plan(site: Site, key: str, visitor: dict[str, str], plan: str) -> None:
    """The next decision is made with the trait."""
    until(lambda: site.state(key).traits.get("plan") == plan, "the trait is folded")
    assert site.decide(visitor, "theme", "sk_dev")["contentId"] == plan


def clicked_once(site: Site, decision: dict[str, Any], key: str) -> None:
    """The click is an outcome with the arm that was shown, and counted once."""
    decision_id = decision["decisionId"]
    site.state(key)  # all of it is folded
    site.call(f"/v1/decisions/{decision_id}/reward", {"value": 0.0, "final": True}, "sk_dev")
    until(lambda: decision_id in site.outcomes("hero"), "the outcome is in the log")
    outcome = site.outcomes("hero")[decision_id]
    assert (outcome.choice.arm, outcome.reward, outcome.trains) == (decision["contentId"], 1.0, True)


def test_what_a_server_sends_is_known_to_the_next_decision_and_learned_once(
    site: Site, client: str, user: str
) -> None:
    send, visitor = CLIENTS[client], {"userId": user}
    assert site.decide(visitor, "theme", "sk_dev")["contentId"] == "free"
    identify = {"type": "identify", "userId": user, "traits": {"plan": "pro", "seats": 3}}
    assert send(site.up.url, "sk_dev", [identify]) == []
    sees_plan(site, f"u:{user}", visitor, "pro")
    assert site.state(f"u:{user}").traits["seats"] == 3
    decision = site.decide(visitor, "hero", "sk_dev")
    click = {
        "type": "track",
        "userId": user,
        "event": "Clicked",
        "properties": {"contentId": decision["contentId"]},
    }
    before = n_events(site, user)
    with losing(site.up.url, to_lose=1) as between:
        assert send(between.url, "sk_dev", [click]) == []
    assert between.statuses == [200, 200], "the client lost an answer, and sent the same again"
    logged = [event for event in site.events(f"u:{user}") if isinstance(event, Track) and event.event == "Clicked"]
    assert len(logged) == 2
    assert logged[0].message_id == logged[1].message_id
    clicked_once(site, decision, f"u:{user}")
    assert n_events(site, user) == before + 1


def test_an_unknown_key_is_a_failure_that_no_client_sends_for_ever(site: Site, client: str, user: str) -> None:
    """customer.io's takes 400 alone for final, and tries what it may (three times more) at 401."""
    with losing(site.up.url) as between:
        failures = CLIENTS[client](
            between.url, "pk_nobody", [{"type": "track", "userId": user, "event": "Clicked"}]
        )
    assert len(failures) == 1
    assert between.statuses == [401] * (4 if client == "customerio-node" else 1)
    assert site.events(f"u:{user}") == []


def test_an_alias_takes_the_past_along_and_a_bad_event_keeps_nothing_back(
    site: Site, client: str, user: str
) -> None:
    """Ids of 300 characters no client looks at, and no key of ours may hold; nor at what JSON lacks."""
    browser = f"browser-of-{user}"
    is_python = client.endswith("-python")
    half = "half an emoji: \ud83d"
    site.collect({"type": "identify", "anonymousId": browser, "traits": {"plan": "pro"}})
    messages: list[dict[str, Any]] = [
        {"type": "track", "userId": "x" * 300, "event": "Bad"},
        {"type": "track", "userId": user, "event": "Half", "properties": {"title": half}},
        *([{"type": "track", "userId": user, "event": "NaN", "properties": {"n": math.nan}}] if is_python else []),
        {"type": "alias", "userId": user, "previousId": browser},
        {"type": "track", "userId": user, "event": "Good"},
    ]
    with losing(site.up.url) as between:
        assert CLIENTS[client](between.url, "sk_dev", messages) == []
    assert set(between.statuses) == {200}
    sees_plan(site, f"u:{user}", {"userId": user}, "pro")
    until(lambda: site.state(f"u:{user}").counts.keys() == {"Good"}, "the good one is folded")


def test_what_was_refused_is_listed_without_what_it_said(site: Site) -> None:
    bad = {"type": "track", "userId": "x" * 300, "event": "Bad", "properties": {"secret": 1}}
    assert by_segment_python(site.up.url, "sk_dev", [bad]) == []
    until(lambda: "too_long" in site.command("refused"), "it is in the log")
    kept = [json.loads(line) for line in site.command("refused", "--json").splitlines()]
    first = next(each for each in kept if each["code"] == "too_long")
    told = (first["source"], first["code"], first["field"], first["type"], first["event"])
    assert told == ("site", "too_long", "userId", "track", "Bad")
    assert first["library"].startswith("analytics-python ")
    assert first["members"]["userId"] == "text of 300"
    assert "xxx" not in json.dumps(first)
    assert "secret" not in json.dumps(first)


@pytest.fixture
def between(site: Site) -> Iterator[Losing]:
    with losing(site.up.url) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a page for each browser client."""
    folders = {client: tmp_path_factory.mktemp(client) for client in ("segment", "rudderstack")}
    for client, folder in folders.items():
        write_page(f"{client}_web.mjs", folder)
    return folders


@pytest.fixture(params=["segment", "segment-batching", "rudderstack", "rudderstack-beacon"])
def page(request: pytest.FixtureRequest, between: Losing, pages: dict[str, Path]) -> Iterator[tuple[Page, str]]:
    """A page of another origin that one of the browser clients runs in, and the visitor's anonymous id."""
    client, _, how = str(request.param).partition("-")
    with page_in(pages[client]) as opened:
        terms = {"url": between.url, "key": "pk_dev", "batching": how == "batching", "useBeacon": how == "beacon"}
        yield opened, opened.evaluate("terms => window.start(terms)", terms)


def test_what_a_page_sends_is_known_to_the_next_decision_and_learned_once(
    site: Site, user: str, between: Losing, page: tuple[Page, str]
) -> None:
    opened, anonymous_id = page
    visitor = {"anonymousId": anonymous_id, "userId": user}
    opened.evaluate("([user, traits]) => { window.identify(user, traits) }", [user, {"plan": "pro"}])
    until(lambda: f"u:{user}" in known(site), "the identify is in the log")
    sees_plan(site, f"u:{user}", visitor, "pro")
    decision = site.decide(visitor, "hero")
    before = n_events(site, user)
    named = {"decisionId": decision["decisionId"]}
    opened.evaluate("properties => { window.track('Clicked', properties) }", named)
    until(lambda: bool(clicks(site, user)), "the click is in the log")
    until(lambda: any(b"Clicked" in each.body for each in between.asked), "who stands between has noted it, too")
    (asked,) = [each for each in between.asked if b"Clicked" in each.body]
    assert asked.send() == (200, b'{"success":true}')
    first, second = clicks(site, user)
    assert first.message_id == second.message_id
    assert (first.anonymous_id, first.user_id) == (anonymous_id, user)
    clicked_once(site, decision, f"u:{user}")
    assert n_events(site, user) == before + 1


def known(site: Site) -> set[str]:
    return site.raw_keys(VISITOR_LOG)


def clicks(site: Site, user: str) -> list[Track]:
    return [event for event in site.events(f"u:{user}") if isinstance(event, Track) and event.event == "Clicked"]


def test_what_a_page_sends_as_it_is_left_is_taken(site: Site, user: str, pages: dict[str, Path]) -> None:
    with page_in(pages["rudderstack"]) as opened:
        opened.evaluate("terms => window.start(terms)", {"url": site.up.url, "key": "pk_dev", "useBeacon": True})
        opened.evaluate("user => { window.identify(user); window.track('Left') }", user)
        opened.goto("about:blank")
        until(lambda: f"u:{user}" in known(site), "the beacon is in the log")
    until(lambda: "Left" in site.state(f"u:{user}").counts, "it is folded")
