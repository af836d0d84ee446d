"""A site with a placement whose arms callers bring, asked by Rank and Reward."""

from __future__ import annotations

from typing import Any

from personalization.catalog.catalog import Catalog, Placement
from personalization.catalog.duration import DAY_MS
from personalization.events.outcome import Outcome
from tests.contract.dialects.folding import folded
from tests.unit.api.site import Site, shop

KEY = {"Ocp-Apim-Subscription-Key": "sk_dev"}
ACTIONS = [
    {"id": "news", "features": [{"topic": {"kind": "news"}, "length": 3}]},
    {"id": "sport", "features": [{"topic": {"kind": "sport"}}, {"tags": ["live", "new"]}]},
    {"id": "food", "features": []},
]


def loops(**more: Placement) -> Catalog:
    spec = shop()
    for name in list(spec.placements):
        del spec.placements[name]
    spec.placements.update({"articles": Placement(arms="caller", window_ms=60_000), **more})
    return spec


async def say(site: Site, path: str, body: Any = None, **headers: str) -> None:
    response = await site.client.post(path, json=body, headers={**KEY, **headers})
    assert response.status_code == 204, response.text


def outcomes(site: Site) -> list[Outcome]:
    """What came of everything, once every window has closed."""
    world = folded(site)
    for key in list(world.visitors):
        world.time_out(key, after_ms=DAY_MS)
    return world.outcomes
