"""Arms that callers bring: one loop, whichever dialect brings them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.decision_record import DecisionRecord
from tests.contract.dialects.folding import folded
from tests.unit.api.site import SERVER, WRITE, Site, open_site

ARMS = {"a": {"topic": "news", "length": 3.0}, "b": {"topic": "sport"}, "c": {"topic": "food"}}
CATALOG = Catalog(
    placements={
        "articles": Placement(arms="caller", features=("context.plan",)),
        "shy": Placement(arms="caller", features=("context.plan",), apprentice=True),
    },
    content={"none": Content()},
    sources={"web": Source(write_keys=("pk_dev",), server_keys=("sk_dev",), consent_default="granted")},
)


class Asked(NamedTuple):
    """A ranking in a dialect's words."""

    path: str
    body: dict[str, Any]


def own(event: str, placement: str, excluded: list[str], context: dict[str, Any]) -> Asked:
    items = [{"id": arm, "features": features} for arm, features in ARMS.items()]
    body = {"visitor": {"anonymousId": event}, "requestId": event, "placement": placement, "items": items}
    return Asked("/v1/rank", {**body, "excluded": excluded, "context": context})


def rank_reward(event: str, placement: str, excluded: list[str], context: dict[str, Any]) -> Asked:
    actions = [{"id": arm, "features": [features]} for arm, features in ARMS.items()]
    body = {"eventId": event, "actions": actions, "excludedActions": excluded, "contextFeatures": [context]}
    return Asked(f"/placements/{placement}/personalizer/v1.0/rank", body)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        opened.compiled = compile_catalog(CATALOG, 5)
        yield opened


async def ranked(
    site: Site, placement: str, excluded: list[str], context: dict[str, Any], event: str = "e1"
) -> list[DecisionRecord]:
    """What both dialects have recorded of the same ranking."""
    for asked in (own(event, placement, excluded, context), rank_reward(event, placement, excluded, context)):
        answer = await site.client.post(asked.path, json=asked.body, headers=SERVER)
        assert answer.status_code in (200, 201), answer.text
    records: list[DecisionRecord] = site.spool.decisions()
    return records


@pytest.mark.parametrize("placement", ["articles", "shy"])
@pytest.mark.parametrize("excluded", [[], ["a"], ["c", "a"]])
async def test_the_same_ranking_is_the_same_decision(site: Site, placement: str, excluded: list[str]) -> None:
    one, other = await ranked(site, placement, excluded, {"plan": "pro"})
    assert one.answered_as != other.answered_as, "each request has an id of its own"
    assert one == structs.replace(other, answered_as=one.answered_as)
    assert one.features == {"context.plan": "pro"}
    assert set(one.arm_features) == set(ARMS) - set(excluded)
    assert len(folded(site).visitors["a:e1"].folder.open) == 1, "one trial, however many asked"


async def test_a_reward_by_either_dialect_is_the_decisions(site: Site) -> None:
    one, _ = await ranked(site, "articles", [], {})
    for path in (
        f"/v1/decisions/{one.choice.decision_id}/reward",
        "/placements/articles/personalizer/v1.0/events/e1/reward",
    ):
        assert (await site.client.post(path, json={"value": 0.25}, headers=SERVER)).status_code == 204
    (decision,) = folded(site).visitors["a:e1"].folder.open
    assert (decision.n_rewards, decision.reward) == (2, 0.5)


async def test_who_refuses_is_logged_by_neither(site: Site) -> None:
    assert await ranked(site, "articles", [], {"consent": {"personalization": False}}) == []


async def test_neither_ranks_for_a_page(site: Site) -> None:
    for asked in (own("e1", "articles", [], {}), rank_reward("e1", "articles", [], {})):
        assert (await site.client.post(asked.path, json=asked.body, headers=WRITE)).status_code == 403
    assert site.spool.records == []
