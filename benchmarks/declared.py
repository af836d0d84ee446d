"""Ten windows and three scores, as a shop may declare them: of kinds, operators and lengths of all sorts."""

from __future__ import annotations

from msgspec import structs

from personalization.catalog.catalog import Catalog, Content, Score
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.scores import EventPoints, Repeat, TraitPoints, Trend

PLAIN = {"loyal": "n_orders > 2"}
SEGMENTS = {
    **PLAIN,
    "keen": 'count("Product Viewed", within="7d") >= 3',
    "filling": 'count("Product Added", within="1d") >= 2',
    "stranger": 'never("Order Completed")',
    "away": 'since("Product Viewed") > duration("14d")',
    "browsing": 'count("Product List Viewed", within="30d") < 5',
    "shoes": """count("Product Viewed", where='properties.category == "shoes"', within="7d") >= 2""",
    "reading": 'count("page", within="1h") >= 4',
    "spender": 'sum("Order Completed", of="properties.revenue", within="90d") > 200',
    "hunter": 'count("Coupon Applied", within="30d") >= 1',
    "customer": 'last("Order Completed") > timestamp("2026-01-01T00:00:00Z")',
}
"""Ten windows, one a segment."""

SCORES = {
    "fit": Score(
        traits=(
            TraitPoints(when='traits.plan == "gold"', points=30),
            TraitPoints(when="n_orders > 0", points=20),
            TraitPoints(when='traits.city == "Lisbon"', points=5),
        ),
        tiers={"C": 0, "B": 20, "A": 50},
    ),
    "interest": Score(
        events=(
            EventPoints(event="Product Viewed", points=1, repeat=Repeat(limit=5, per="day"), group="views"),
            EventPoints(event="page", points=0.5, group="views"),
            EventPoints(event="Product Added", points=10),
            EventPoints(event="Unsubscribed", points=-25),
        ),
        groups={"views": 20},
        half_life_ms=14 * DAY_MS,
        tiers={"3": 0, "2": 10, "1": 30},
        trend=Trend(over_ms=14 * DAY_MS),
    ),
    "lead": Score(axes=("fit", "interest")),
}
"""Two of events and traits, with tiers, a bound of a group and a trend, and one whose axes they are."""


def declaring(shop: Catalog, segments: dict[str, str], scores: dict[str, Score]) -> CompiledCatalog:
    """A shop with these segments and scores in place of its own."""
    return compile_catalog(structs.replace(shop, segments=segments, scores=scores, content=_plain(shop)), 1)


def _plain(shop: Catalog) -> dict[str, Content]:
    """The contents without the rules that name the shop's own segments."""
    return {name: structs.replace(content, when=None) for name, content in shop.content.items()}
