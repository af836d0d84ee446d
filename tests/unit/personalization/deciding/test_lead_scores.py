"""Scores in decisions: worked out where a rule or a feature names them, once, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Catalog, Content, Conversion, Placement, Score
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.sections.scores import EventPoints
from personalization.deciding.decider_catalog import PreparedCatalog, prepare
from personalization.deciding.request import PlacementRequest
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.scenes import Likes, ask, run
from tests.unit.personalization.world import World


class Asked:
    """A conversion's model by hand; remembers what it was asked."""

    def __init__(self, score: float = 0.9) -> None:
        self.given = score
        self.features: list[dict[str, Any]] = []

    def score(self, features: Mapping[str, Any]) -> float:
        self.features.append(dict(features))
        if self.given < 0:
            raise ZeroDivisionError("broken on purpose")
        return self.given


def shop(when: str | None = None, segment: str = "known", features: tuple[str, ...] = ("hour",)) -> PreparedCatalog:
    catalog = Catalog(
        placements={"hero": Placement(content=("red", "green"), default="red", features=features)},
        content={"red": Content(), "green": Content(when=when)},
        segments={"hot": segment},
        conversions={
            "buys": Conversion(event="Bought", features=("n_orders", "segments", "hour")),
            "leaves": Conversion(event="Left"),
        },
    )
    return prepare(compile_catalog(catalog, 3))


STATE = VisitorState(event_count=2, n_orders=2)


def filtered(catalog: PreparedCatalog, scorers: Mapping[str, Any], **terms: Any) -> set[str]:
    answer = run(catalog, states=[structs.replace(STATE)], scorers=scorers, **terms)
    return set(answer.records[0].filtered)


@pytest.mark.parametrize(
    ("when", "segment", "eligible"),
    [
        ("scores.buys > 0.5", "known", True),
        ("scores.buys < 0.5", "known", False),
        ('scores["buys"] > 0.5', "known", True),
        ("scores.leaves > 0.5", "known", False),
        ("!(has(scores.leaves) && scores.leaves > 0.5)", "known", True),
        ('"hot" in segments', "scores.buys > 0.5", True),
        ('"hot" in segments', "scores.buys > 0.95", False),
    ],
)
def test_rules_and_segments_see_scores(when: str, segment: str, eligible: bool) -> None:
    scorers = {"buys": Asked(0.9)}  # leaves has learned nothing yet
    assert filtered(shop(when, segment), scorers) == (set() if eligible else {"green"})


def test_a_feature_may_be_a_score_and_is_logged_as_used() -> None:
    models = {"hero": Likes()}
    answer = run(
        shop(features=("scores.buys", "n_orders")), states=[STATE], scorers={"buys": Asked(0.9)}, models=models
    )
    assert models["hero"].asked[0][1] == {"scores.buys": 0.9, "n_orders": 2.0}
    assert answer.records[0].features == {"scores.buys": 0.9, "n_orders": 2.0}


def test_each_score_is_worked_out_once_a_request_and_only_where_it_is_named() -> None:
    buys, leaves = Asked(), Asked()
    catalog = shop("scores.buys > 0.5", features=("scores.buys",))
    run(catalog, ask(PlacementRequest("hero", 2)), [STATE], scorers={"buys": buys, "leaves": leaves})
    assert (len(buys.features), len(leaves.features)) == (1, 0)
    unused = Asked()
    run(shop(), states=[STATE], scorers={"buys": unused, "leaves": unused})
    assert unused.features == []


def test_what_a_model_sees_holds_no_score_even_by_way_of_a_segment() -> None:
    buys = Asked()
    run(shop('"hot" in segments', "scores.buys > 0.5"), states=[STATE], scorers={"buys": buys})
    assert set(buys.features[0]) == {"n_orders", "hour"}
    plain = Asked()
    run(shop("scores.buys > 0.5", "n_orders > 1"), states=[STATE], scorers={"buys": plain})
    assert set(plain.features[0]) == {"n_orders", "hour", "segments.hot"}


def test_a_model_that_fails_is_told_and_its_score_is_missing() -> None:
    answer = run(shop("scores.buys > 0.5"), states=[STATE], scorers={"buys": Asked(-1.0)})
    assert set(answer.records[0].filtered) == {"green"}
    assert [name for name, _ in answer.faults] == ["conversion:buys"]
    assert len(answer.decisions) == 1


@pytest.mark.parametrize(
    "terms", [{"request": ask(consent_default=False)}, {"states": None}], ids=["no consent", "no state"]
)
def test_nobody_has_a_score_without_consent_or_state(terms: dict[str, Any]) -> None:
    buys = Asked()
    terms.setdefault("states", [structs.replace(STATE)])
    run(shop("scores.buys > 0.5"), scorers={"buys": buys}, **terms)
    assert buys.features == []


def test_a_score_of_events_is_the_same_feature_of_a_conversion_when_it_learns_and_when_it_is_asked() -> None:
    """And a blend of both reaches rules, without the model seeing itself."""
    points = (EventPoints(event="Priced", points=10, half_life_ms=86_400_000),)
    catalog = Catalog(
        placements={"hero": Placement(content=("red", "green"), default="red", features=("scores", "tiers"))},
        content={"red": Content(), "green": Content(when="scores.hot > 50")},
        conversions={"buys": Conversion(event="Bought", features=("scores.interest", "tiers.interest"))},
        scores={
            "interest": Score(events=points, tiers={"low": 0, "high": 15}),
            "hot": Score(blend={"interest": 1.0, "buys": 100.0}),
        },
    )
    world = World(compile_catalog(catalog, 1))
    for _ in range(2):
        world.track("a:1", "Priced")
    (example,) = world.visitors["a:1"].folder.conversions.open  # type: ignore[union-attr]  # it is opened at the start
    assert example.features == {"scores.interest": 10.0, "tiers.interest": "low"}, "as of the first event"
    model, state = Asked(0.4), world.visitors["a:1"].state
    answer = run(prepare(world.catalog), states=[state], scorers={"buys": model}, now_ms=world.now_ms)
    assert model.features == [{"scores.interest": pytest.approx(20.0), "tiers.interest": "high"}]
    record = answer.records[0]
    assert record.filtered == {}, "20 points and 40 for what is likely"
    assert record.features == {
        "scores.buys": 0.4,
        "scores.interest": pytest.approx(20.0),
        "scores.hot": pytest.approx(60.0),
        "tiers.interest": "high",
    }
