"""Scores over HTTP: what a rule sees, and what an operator is told with its reasons."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from msgspec import structs

from api.process.conversions import ConversionsInMemory
from online_models.conversion.challenger import retrain
from online_models.conversion.checkpoint import Served, dump_served, load_served
from online_models.conversion.contender import Contender
from online_models.snapshot import pack_version
from personalization.catalog.catalog import Conversion
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import VisitorState
from state.conversion_store import FollowedConversion
from tests.unit.api.site import NOW, SERVER, Site, open_site, shop


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        catalog = shop()
        content = {**catalog.content, "tents": structs.replace(catalog.content["tents"], when="scores.buys > 0.5")}
        conversions = {
            "buys": Conversion(event="Order Completed", features=("cart_value", "device")),
            "leaves": Conversion(event="Account Closed"),
        }
        opened.compiled = compile_catalog(structs.replace(catalog, content=content, conversions=conversions), 12)
        yield opened


def carts(model: str = "default") -> Served:
    """Who has something in the basket buys."""
    history: list[tuple[dict[str, Any], bool]] = [
        ({"cart_value": float(n % 2 * 40)}, n % 2 > 0) for n in range(400)
    ]
    contender = retrain(Contender(model), history)
    return load_served(dump_served(contender, "buys", pack_version(3, 400), b"s"), b"s")


async def test_a_rule_sees_the_score(site: Site) -> None:
    site.conversions["buys"] = carts()
    site.visitors.states["a:a1"] = VisitorState(event_count=3, cart={"boots": 40.0})
    await site.decide("home.hero")
    site.visitors.states["a:a1"] = VisitorState(event_count=3)
    await site.decide("home.hero")
    likely, unlikely = site.spool.decisions()
    assert likely.filtered == {}
    assert list(unlikely.filtered) == ["tents"]


async def test_while_nothing_is_learned_a_rule_about_it_does_not_hold(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(event_count=3, cart={"boots": 40.0})
    response = await site.decide("home.hero")
    assert response.status_code == 200
    assert list(site.spool.decisions()[0].filtered) == ["tents"]


def test_a_model_that_learned_nothing_scores_nobody_though_it_is_published() -> None:
    """As after a learner has taken over what another had begun."""
    empty, taught = Served(Contender("default"), "leaves", pack_version(3, 0)), carts()

    class Follower:
        names: ClassVar = ["leaves", "buys"]

        def get(self, conversion: str) -> FollowedConversion:
            return FollowedConversion({"leaves": empty, "buys": taught}[conversion], NOW)

    models = ConversionsInMemory(Follower())
    assert (list(models), len(models), "leaves" in models, models.get("leaves")) == (["buys"], 1, False, None)


async def test_an_operator_is_told_probability_reasons_and_version(site: Site) -> None:
    site.conversions["buys"] = carts()
    site.visitors.states["a:a1"] = VisitorState(event_count=3, cart={"boots": 40.0})
    scores = (await site.client.get("/v1/visitors/a1", headers=SERVER)).json()["scores"]
    assert list(scores) == ["buys"], "leaves has learned nothing yet"
    told = scores["buys"]
    assert told["probability"] > 0.8
    assert told["modelVersion"] == {"generation": 3, "learned": 400}
    assert told["contributions"].keys() == {"cart_value"}, "there is no request here, so no device"
    assert told["contributions"]["cart_value"] > 0
    assert told["bias"] + sum(told["contributions"].values()) == pytest.approx(told["logOdds"], abs=1e-4)


async def test_a_model_that_gives_no_reasons_gives_its_probability(site: Site) -> None:
    site.conversions["buys"] = carts("river.linear_model.LogisticRegression")
    site.visitors.states["a:a1"] = VisitorState(event_count=3, cart={"boots": 40.0})
    told = (await site.client.get("/v1/visitors/a1", headers=SERVER)).json()["scores"]["buys"]
    assert told["model"] == "river.linear_model.LogisticRegression"
    assert told["probability"] > 0.5
    assert "contributions" not in told


async def test_who_refused_has_no_scores(site: Site) -> None:
    site.conversions["buys"] = carts()
    site.visitors.states["a:a1"] = VisitorState(
        event_count=3, last_ms=NOW, consents={"personalization": Word(False, NOW)}
    )
    assert (await site.client.get("/v1/visitors/a1", headers=SERVER)).json()["scores"] == {}
