"""OpenFeature's own SDKs against real servers: what they show is decided, exposed, rewarded and learned."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason
from openfeature.hook import Hook, HookContext, HookHints
from playwright.sync_api import Page, Response

from tests.clients import node
from tests.clients.browser import page_of
from tests.integration.evaluated import SiteBesideABrowser, decided, exposures, looped, records
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero: {content: [red, green], default: red, window: 1h}
  theme: {content: [free, pro], default: free, window: 1h}
  beta: {content: [enabled], default: enabled}
  ratio: {content: [all], default: all}
  size: {content: [five], default: five}
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  free: {body: {plan: free}, when: 'context.plan != "pro"'}
  pro: {body: {plan: pro}, when: 'context.plan == "pro"'}
  enabled: {body: true}
  all: {body: 1.0}
  five: {body: 5}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""
HERO = {"red": "<p>red</p>", "green": "<p>green</p>"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with SiteBesideABrowser.open(tmp_path_factory, CATALOG) as site:
        yield site


_numbers = itertools.count(1)


@pytest.fixture
def visitor() -> str:
    return f"visitor-{next(_numbers)}"


def shown_then_rewarded(
    site: Site, key: str, flag: str, variant: str, metadata: dict[str, Any], show: Callable[[], object]
) -> None:
    """The loop, and that the metadata told of it rightly."""
    record = looped(site, key, flag, variant, metadata["decisionId"], show)
    assert metadata["propensity"] == record.choice.weight / 2**32
    assert metadata["tier"] == record.tier


class Showing(Hook):
    """Tells nextbest of every evaluation that a value is shown."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints) -> None:
        path = f"{self._url}/v1/decisions/{details.flag_metadata['decisionId']}/activate"
        requests.post(path, headers={"Authorization": f"Bearer {self._key}"}, timeout=10).raise_for_status()


def python_client(site: Site, key: str, targeting_key: str, **attributes: Any) -> OpenFeatureClient:
    headers = {"Authorization": f"Bearer {key}"}
    api.set_provider(OFREPProvider(site.up.url, headers_factory=lambda: headers))
    client = api.get_client()
    client.context = EvaluationContext(targeting_key, attributes)
    return client


@pytest.fixture(autouse=True)
def no_provider() -> Iterator[None]:
    yield
    api.shutdown()
    api.clear_providers()


def test_python_shows_what_was_decided_and_its_exposures_and_rewards_are_learned(site: Site, visitor: str) -> None:
    client = python_client(site, "sk_dev", visitor)
    details = client.get_string_details("hero", "fallback")
    assert (details.error_code, details.reason) == (None, Reason.SPLIT)
    assert details.value == HERO[str(details.variant)]

    def show() -> None:
        client.add_hooks([Showing(site.up.url, "sk_dev")])
        assert client.get_string_details("hero", "fallback").flag_metadata == details.flag_metadata

    shown_then_rewarded(site, f"u:{visitor}", "hero", str(details.variant), dict(details.flag_metadata), show)


def test_python_gets_every_type_as_its_own(site: Site, visitor: str) -> None:
    client = python_client(site, "sk_dev", visitor, plan="pro")
    assert client.get_boolean_value("beta", False) is True
    assert repr(client.get_float_value("ratio", 0.5)) == "1.0"
    assert repr(client.get_integer_value("size", 0)) == "5"
    assert client.get_object_value("theme", {}) == {"plan": "pro"}
    assert client.get_boolean_details("beta", False).reason == Reason.STATIC
    assert client.get_object_details("theme", {}).reason == Reason.SPLIT


def test_python_is_told_what_is_wrong(site: Site, visitor: str) -> None:
    client = python_client(site, "sk_dev", visitor)
    assert client.get_boolean_details("nowhere", True).error_code == ErrorCode.FLAG_NOT_FOUND
    assert client.get_boolean_details("hero", True).error_code == ErrorCode.TYPE_MISMATCH
    client.context = EvaluationContext(attributes={"plan": "pro"})
    details = client.get_string_details("hero", "fallback")
    assert (details.value, details.error_code) == ("fallback", ErrorCode.TARGETING_KEY_MISSING)
    client.context = EvaluationContext(visitor, {"anonymousId": 7.5})
    assert client.get_string_details("hero", "fallback").error_code == ErrorCode.INVALID_CONTEXT
    unknown = python_client(site, "sk_nobody", visitor).get_string_details("hero", "fallback")
    assert (unknown.error_code, unknown.error_message) == (ErrorCode.GENERAL, "unauthorized")
    until(lambda: bool(records(site, f"u:{visitor}")), "what was decided is logged")
    (mistyped,) = records(site, f"u:{visitor}")
    assert (mistyped.choice.placement, mistyped.exposed) == ("hero", False), (
        "decided, and never shown: it trains nothing"
    )


def test_python_and_a_page_of_one_visitor_see_one_choice(site: Site, visitor: str) -> None:
    """A server renders for somebody who is not logged in: both ids are one text, the browser's."""
    client = python_client(site, "sk_dev", visitor, anonymousId=visitor)
    details = client.get_string_details("hero", "fallback")
    decision_id = details.flag_metadata["decisionId"]
    body = {"context": {"targetingKey": visitor}}
    assert site.call("/ofrep/v1/evaluate/flags/hero", body)["metadata"]["decisionId"] == decision_id
    assert decided(site, f"a:{visitor}", str(decision_id)).choice.arm == details.variant


def test_node_shows_what_was_decided_and_its_exposures_and_rewards_are_learned(site: Site, visitor: str) -> None:
    instructions = {
        "url": site.up.url,
        "key": "sk_dev",
        "context": {"targetingKey": visitor, "plan": "pro"},
        "flags": {"hero": "fallback"},
        "show": False,
    }
    details = node.run("ofrep_server.mjs", instructions)["hero"]
    assert details["value"] == HERO[details["variant"]]
    assert details["reason"] == "SPLIT"

    def show() -> None:
        again = node.run("ofrep_server.mjs", {**instructions, "show": True})["hero"]
        assert again["flagMetadata"] == details["flagMetadata"]

    shown_then_rewarded(site, f"u:{visitor}", "hero", details["variant"], details["flagMetadata"], show)


def test_node_gets_every_type_as_its_own_and_is_told_what_is_wrong(site: Site, visitor: str) -> None:
    flags = {"beta": False, "ratio": 0.5, "size": 0, "theme": {}, "nowhere": "x", "hero": False}
    found = node.run(
        "ofrep_server.mjs",
        {"url": site.up.url, "key": "sk_dev", "context": {"targetingKey": visitor, "plan": "pro"}, "flags": flags},
    )
    values = {name: details["value"] for name, details in found.items()}
    assert values == {"beta": True, "ratio": 1, "size": 5, "theme": {"plan": "pro"}, "nowhere": "x", "hero": False}
    assert {name: found[name]["errorCode"] for name in ("nowhere", "hero")} == {
        "nowhere": "FLAG_NOT_FOUND",
        "hero": "TYPE_MISMATCH",
    }
    nobody = {"url": site.up.url, "key": "sk_dev", "context": {"plan": "pro"}, "flags": {"hero": "x"}}
    assert node.run("ofrep_server.mjs", nobody)["hero"]["errorCode"] == "TARGETING_KEY_MISSING"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with page_of("ofrep_web.mjs", tmp_path) as opened:
        yield opened


def is_bulk(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/ofrep/v1/evaluate/flags")


def enter(page: Page, context: dict[str, Any]) -> Response:
    """Change the page's context; the answer that this brings, not that of a poll that was on its way."""

    def asks_in(response: Response) -> bool:
        return is_bulk(response) and (response.request.post_data_json or {}).get("context") == context

    with page.expect_response(asks_in) as answered:
        page.evaluate("context => window.enter(context)", context)
    return answered.value


def test_a_page_shows_what_was_decided_and_its_exposures_and_rewards_are_learned(
    site: Site, visitor: str, page: Page
) -> None:
    terms = {"url": site.up.url, "key": "pk_dev", "context": {"targetingKey": visitor}, "pollInterval": 0}
    page.evaluate("terms => window.start(terms)", terms)
    details = page.evaluate("() => window.flag('hero', 'fallback')")
    assert (details["value"], details["reason"]) == (HERO[details["variant"]], "SPLIT")
    for name, fallback, value in (("beta", False, True), ("ratio", 0.5, 1), ("theme", {}, {"plan": "free"})):
        assert (
            page.evaluate("([name, fallback]) => window.flag(name, fallback)", [name, fallback])["value"] == value
        )
    missing = page.evaluate("() => window.flag('nowhere', 'fallback')")
    assert (missing["value"], missing["errorCode"]) == ("fallback", "FLAG_NOT_FOUND")

    def show() -> None:
        assert page.evaluate("([details, id]) => window.show(details, id)", [details, visitor]) == 200

    shown_then_rewarded(site, f"a:{visitor}", "hero", details["variant"], details["flagMetadata"], show)
    (theme,) = [record for record in records(site, f"a:{visitor}") if record.choice.placement == "theme"]
    assert theme.choice.arm == "free"


def test_a_page_that_polls_is_told_nothing_new_until_its_context_changes(
    site: Site, visitor: str, page: Page
) -> None:
    """The page keeps its tag while the context changes under it: a 304 then would leave it what another may see."""
    context = {"targetingKey": visitor, "plan": "free"}
    terms = {"url": site.up.url, "key": "pk_dev", "context": context, "pollInterval": 100}
    page.evaluate("terms => window.start(terms)", terms)
    first = page.evaluate("() => window.flag('theme', {})")
    decided(site, f"a:{visitor}", first["flagMetadata"]["decisionId"])
    n_logged = len(site.logged(f"a:{visitor}"))
    n_records = len(records(site, f"a:{visitor}"))
    for _ in range(3):
        with page.expect_response(lambda response: is_bulk(response) and response.status == 304):
            pass
    assert len(records(site, f"a:{visitor}")) == n_records, "what nobody is told of is no decision"
    assert len(site.logged(f"a:{visitor}")) == n_logged
    assert page.evaluate("() => window.flag('theme', {})") == first
    answered = enter(page, {**context, "plan": "pro"})
    assert (answered.status, "if-none-match" in answered.request.headers) == (200, True)
    second = page.evaluate("() => window.flag('theme', {})")
    assert (second["value"], second["variant"]) == ({"plan": "pro"}, "pro")
    assert decided(site, f"a:{visitor}", second["flagMetadata"]["decisionId"]).choice.arm == "pro"
    assert enter(page, context).status == 200
    assert page.evaluate("() => window.flag('theme', {})")["value"] == {"plan": "free"}
    assert exposures(site, f"a:{visitor}") == {}
    page.evaluate("() => window.stop()")
