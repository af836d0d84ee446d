"""Raw features: named, decayed, flattened, bounded."""

from __future__ import annotations

from typing import Any

from personalization.audience.context import feature_names, raw_features
from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import AffinitySpec, Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.features import MAX_FEATURES, FeatureValue
from personalization.visitor.visitor_state import Affinity, Decayed, Session, VisitorState
from tests.unit.personalization.scenes import NOW

HOUR = 3_600_000
SHOP = compile_catalog(
    Catalog(
        placements={"p": Placement(content=("a",), default="a")},
        content={"a": Content()},
        segments={"buyers": "n_orders > 0", "others": "n_orders == 0"},
        affinities={"genre": AffinitySpec(rules=(), half_life_ms=HOUR)},
        count_half_life_ms=HOUR,
    ),
    1,
)


def features(
    state: VisitorState | None,
    *names: str,
    context: dict[str, Any] | None = None,
    now_ms: int = NOW,
    known: bool = False,
) -> dict[str, FeatureValue]:
    scope = VisitorScope(state, context or {}, SHOP, now_ms, known)
    return raw_features(feature_names(names), scope)


def test_counts_and_affinities_are_decayed_to_now() -> None:
    state = VisitorState(
        counts={"Viewed": Decayed(8.0, NOW - HOUR)}, affinities={"genre": Affinity(NOW - 2 * HOUR, {"war": 4.0})}
    )
    assert features(state, "counts", "affinities.genre") == {"counts.Viewed": 4.0, "affinities.genre.war": 1.0}
    assert features(state, "affinities") == {"affinities.genre.war": 1.0}
    assert state.affinities["genre"].weights == {"war": 4.0}, "reading changes nothing"


def test_names_reach_into_context_traits_and_session() -> None:
    state = VisitorState(traits={"age": 30, "tags": "x"}, session=Session(2, NOW - 5_000, NOW - 1_000, 7, 3))
    found = features(
        state, "traits.age", "session", "context.page.path", "device", "hour", "weekday", "known", "segments",
        "traits.none", "context.page",
        context={"page": {"path": "/x", "n": float("nan")}, "device": {"type": "Tablet"}, "timezone": "Asia/Tokyo"},
        known=True,
    )  # fmt: skip
    assert found == {
        "traits.age": 30.0,
        "session.number": 2.0,
        "session.n_events": 7.0,
        "session.n_views": 3.0,
        "session.seconds": 5.0,
        "context.page.path": "/x",
        "device": "tablet",
        "hour": 7.0,
        "weekday": 2.0,
        "known": 1.0,
        "segments.others": 1.0,
    }


def test_without_state_only_the_request_is_looked_at() -> None:
    assert set(features(None)) == {"device", "hour", "weekday", "known"}


def test_there_is_a_bound() -> None:
    state = VisitorState(traits={f"t{n}": 1.0 for n in range(MAX_FEATURES * 2)})
    assert len(features(state, "device", "traits")) == MAX_FEATURES
