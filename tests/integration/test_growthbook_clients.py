"""GrowthBook's own SDKs against real servers: what they show is decided, exposed, rewarded and learned."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from growthbook import Experiment, GrowthBook, Result
from growthbook.common_types import Options, UserContext
from growthbook.growthbook_client import GrowthBookClient

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
  search: {arms: caller, window: 1h}
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  free: {body: {plan: free}, when: 'context.plan != "pro"'}
  pro: {body: {plan: pro}, when: 'context.plan == "pro"'}
  enabled: {body: true}
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


class PythonClient:
    """GrowthBook's Python SDK, and what its tracking callback was told; ``show`` says whether it tells nextbest."""

    def __init__(self, site: Site, visitor: str, **attributes: Any) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.show = False
        self._url = site.up.url
        self.sdk = GrowthBook(
            api_host=site.up.url,
            client_key="pk_dev",
            remote_eval=True,
            attributes={"id": visitor, **attributes},
            on_experiment_viewed=self._viewed,
        )
        self.sdk.load_features()

    def _viewed(self, experiment: Experiment[Any], result: Result[Any], user_context: Any) -> None:
        self.told.append((experiment.key, result.key, result.hashValue))
        if self.show:
            path = f"{self._url}/v1/decisions/{result.hashValue}/activate"
            requests.post(path, headers={"Authorization": "Bearer pk_dev"}, timeout=10).raise_for_status()


def test_python_shows_what_was_decided_and_its_callback_exposes_it(site: Site, visitor: str) -> None:
    client = PythonClient(site, visitor)
    value = client.sdk.get_feature_value("hero", "fallback")
    client.sdk.get_feature_value("hero", "fallback")
    ((experiment, variation, decision_id),) = client.told
    assert (experiment, value) == ("hero", HERO[variation])

    def show() -> None:
        again = PythonClient(site, visitor)
        again.show = True
        assert again.sdk.get_feature_value("hero", "fallback") == value
        assert again.told == client.told, "a choice is kept for the session"

    looped(site, f"a:{visitor}", "hero", variation, decision_id, show)


def test_python_gets_every_type_as_its_own_and_what_its_attributes_ask_for(site: Site, visitor: str) -> None:
    sdk = PythonClient(site, visitor, plan="pro").sdk
    assert sdk.get_feature_value("beta", False) is True
    assert sdk.is_on("beta")
    assert sdk.get_feature_value("theme", {}) == {"plan": "pro"}
    assert sdk.get_feature_value("search", "fallback") == "fallback", "its arms are brought by callers"


def test_pythons_client_of_many_visitors_shows_each_what_was_decided_for_them(site: Site) -> None:
    told: list[tuple[str, str, str]] = []

    def viewed(experiment: Any, result: Any, user_context: Any) -> None:
        told.append((user_context.attributes["id"], result.key, result.hashValue))

    address: dict[str, Any] = {"api_host": site.up.url, "client_key": "pk_dev", "on_experiment_viewed": viewed}
    visitors = [f"many-{n}" for n in range(6)]

    async def ask() -> list[str]:
        client = GrowthBookClient(Options(**address, remote_eval=True, refresh_strategy=None))
        assert await client.initialize()
        values = [
            await client.get_feature_value("hero", "", UserContext(attributes={"id": each})) for each in visitors
        ]
        await client.close()
        return values

    values = asyncio.run(ask())
    assert [(who, HERO[variation]) for who, variation, _ in told] == list(zip(visitors, values, strict=True))
    for who, variation, decision_id in told:
        assert decided(site, f"a:{who}", decision_id).choice.arm == variation


def test_node_speaks_for_users_by_a_server_key_in_a_header(site: Site, visitor: str) -> None:
    instructions = {
        "url": site.up.url,
        "key": "pk_dev",
        "serverKey": "sk_dev",
        "attributes": {"id": visitor, "plan": "pro"},
        "features": ["hero"],
        "show": False,
    }
    first = node.run("growthbook_server.mjs", instructions)
    (told,) = first["told"]
    assert (first["success"], first["values"]["hero"]) == (True, HERO[told["variation"]])

    def show() -> None:
        assert node.run("growthbook_server.mjs", {**instructions, "show": True})["told"] == [told]

    looped(site, f"u:{visitor}", "hero", told["variation"], told["decisionId"], show)


def test_node_without_remote_evaluation_shows_defaults_and_decides_nothing(site: Site, visitor: str) -> None:
    found = node.run(
        "growthbook_server.mjs",
        {
            "url": site.up.url,
            "key": "pk_dev",
            "attributes": {"id": visitor},
            "features": ["hero", "theme", "beta"],
            "remoteEval": False,
        },
    )
    assert found == {
        "success": True,
        "values": {"hero": HERO["red"], "theme": {"plan": "free"}, "beta": True},
        "told": [],
    }
    assert records(site, f"a:{visitor}") == []


def test_a_page_shows_what_was_decided_and_its_beacon_exposes_it(site: Site, visitor: str, tmp_path: Path) -> None:
    with page_of("growthbook_web.mjs", tmp_path) as page:
        terms = {"url": site.up.url, "key": "pk_dev", "attributes": {"id": visitor}}
        assert page.evaluate("terms => window.start(terms)", terms) is True
        value = page.evaluate("() => window.feature('hero')")
        assert page.evaluate("() => window.feature('theme')") == {"plan": "free"}
        hero, theme = page.evaluate("() => window.told()")
        assert (hero["experiment"], value) == ("hero", HERO[hero["variation"]])
        record = decided(site, f"a:{visitor}", hero["decisionId"])
        assert (record.choice.arm, record.exposed, record.sticky) == (hero["variation"], False, True)
        shown = {hero["variation"]: 1, theme["variation"]: 1}
        until(lambda: exposures(site, f"a:{visitor}") == shown, "what the page used is exposed, and nothing else")
        page.evaluate("() => window.enter({plan: 'pro'})")
        assert page.evaluate("() => window.feature('theme')") == {"plan": "pro"}
        assert page.evaluate("() => window.feature('hero')") == value
        until(lambda: exposures(site, f"a:{visitor}") == {**shown, "pro": 1}, "what it used anew is exposed")
