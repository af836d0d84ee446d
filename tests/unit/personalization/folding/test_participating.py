"""Who takes part in experiments: each visitor once, from first exposure to the end of the horizon."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.catalog.catalog import Catalog, Content, Conversion, Metric, Placement, RewardRule
from personalization.catalog.compiled_catalog import CompiledCatalog, InvalidCatalog, compile_catalog
from personalization.catalog.sections.variants import PlacementVariant
from personalization.events.event import Track
from personalization.events.participant import Participant, decode_participant, encode_participant
from personalization.visitor.folder_state import MAX_PARTICIPATIONS, FolderState, decode_folder, encode_folder
from tests.unit.personalization.world import MINUTE, World

HOUR = 60 * MINUTE
HORIZON = 24 * HOUR
KEY = "a:1"


def shop(version: int = 1, **placement: Any) -> CompiledCatalog:
    terms: dict[str, Any] = {
        "holdout": 0.1,
        "horizon_ms": HORIZON,
        "window_ms": 30 * MINUTE,
        "weights": {"click": 1.0, "return": 1.0},
        "rewards": (
            RewardRule(event="Clicked", name="click"),
            RewardRule(event="Returned", name="return", value=-1.0),
        ),
        "reward_range": (-1.0, 1.0),
        **placement,
    }
    return compile_catalog(
        Catalog(
            placements={"hero": Placement(content=("red", "blue"), default="red", **terms)},
            content={"red": Content(body="red"), "blue": Content(body="blue", cost=0.25)},
            conversions={"ordered": Conversion(event="Ordered", horizon_ms=HOUR)},
            segments={"buyers": "counts.Ordered > 0.5", "phones": "device == 'mobile'"},
            metrics={
                "revenue": Metric(event="Ordered", value="properties.revenue", cap=100.0, margin=0.5, unit="EUR"),
                "signed_up": Metric(event="Joined", when="properties.plan == 'pro'"),
            },
        ),
        version,
    )


def world(**placement: Any) -> World:
    return World(shop(**placement))


def closed(world: World, key: str = KEY, *, after_ms: int = HORIZON) -> Participant:
    """The one participant that there is once the horizon has ended."""
    world.time_out(key, after_ms=after_ms)
    [participant] = world.participants
    assert decode_participant(encode_participant(participant)) == participant
    return participant


def test_what_comes_within_the_horizon_counts_once_it_has_closed() -> None:
    told = world()
    told.decide(KEY, "d1", "blue")
    told.track(KEY, "Clicked", contentId="blue", after_ms=MINUTE)
    told.track(KEY, "Ordered", revenue=30.0, after_ms=MINUTE)
    told.track(KEY, "Ordered", revenue=20.0, after_ms=MINUTE)
    told.track(KEY, "Joined", plan="free")
    assert told.participants == [], "nobody is told of before the horizon has closed"
    found = closed(told)
    assert (found.placement, found.side, found.split) == ("hero", "", {"control": 0.1, "": 0.9})
    assert found.values == {"reward.click": 1.0, "ordered": 1.0, "revenue": 50.0, "profit": 24.75}
    assert found.after_ms == {"reward.click": MINUTE, "ordered": 2 * MINUTE}
    assert found.cost == 0.25
    assert not found.crossover


def test_the_horizon_includes_its_end_and_nothing_after_though_the_time_out_is_late() -> None:
    told = world()
    told.decide(KEY, "d1")
    told.track(KEY, "Ordered", revenue=10.0, after_ms=HORIZON)
    told.track(KEY, "Ordered", revenue=20.0, after_ms=1)
    assert closed(told, after_ms=0).values["revenue"] == 10.0


def test_one_visitor_counts_for_the_cap_at_most_and_a_penalty_is_no_success() -> None:
    told = world()
    told.decide(KEY, "d1")
    told.track(KEY, "Ordered", revenue=70.0)
    told.track(KEY, "Ordered", revenue=70.0)
    told.track(KEY, "Returned", contentId="red")
    found = closed(told)
    assert found.values["revenue"] == 100.0
    assert "reward.return" not in found.values


def test_a_visitor_takes_part_once_however_often_they_come() -> None:
    told = world()
    for n in range(3):
        told.decide(KEY, f"d{n}", after_ms=HOUR)
    assert closed(told).side == ""
    told.decide(KEY, "d4", after_ms=48 * HOUR)
    told.time_out(KEY, after_ms=HORIZON)
    assert len(told.participants) == 1


def test_what_came_before_the_exposure_is_told_apart_from_what_came_after() -> None:
    told = world()
    told.track(KEY, "Ordered", revenue=40.0)
    told.decide(KEY, "d1")
    told.track(KEY, "Ordered", revenue=5.0)
    found = closed(told)
    assert found.before == {"ordered": 1.0, "revenue": 40.0, "profit": 20.0}
    assert found.values["revenue"] == 5.0
    assert found.segments == ["buyers"], "those that a visitor is in without any request of theirs"


def test_what_overtook_its_decision_in_the_log_came_after_it() -> None:
    told = world()
    told.track(KEY, "Ordered", revenue=40.0, after_ms=MINUTE)
    told.track(KEY, "Ordered", revenue=5.0, after_ms=MINUTE)
    decided_ms = told.now_ms - 10
    told.decide(KEY, "d1", received_ms=decided_ms)
    found = closed(told)
    assert (found.before["revenue"], found.values["revenue"]) == (40.0, 5.0)
    assert found.after_ms["ordered"] == 0


def test_only_what_was_shown_counts() -> None:
    told = world()
    told.decide(KEY, "d1", exposed=False)
    told.time_out(KEY, after_ms=HORIZON)
    assert told.participants == []


@pytest.mark.parametrize(
    ("holdout", "variant", "side"), [(True, "", "control"), (False, "bold", "bold"), (False, "", "")]
)
def test_the_side_is_that_of_the_first_exposure(holdout: bool, variant: str, side: str) -> None:
    told = world(variants={"bold": PlacementVariant(share=0.25)})
    told.decide(KEY, "d1", holdout=holdout, variant=variant)
    told.decide(KEY, "d2", holdout=False, variant="")
    found = closed(told)
    assert found.side == side
    assert found.split == {"control": 0.1, "": 0.675, "bold": 0.225}


def test_whose_side_is_not_known_stays_outside() -> None:
    told = world()
    told.decide(KEY, "d1", holdout=None)
    told.time_out(KEY, after_ms=HORIZON)
    assert told.participants == []


def test_without_two_sides_nothing_is_kept() -> None:
    told = world(holdout=0.0)
    told.decide(KEY, "d1")
    told.track(KEY, "Ordered", revenue=40.0)
    assert told.visitors[KEY].folder.participations is None


def test_shares_that_change_are_noted_of_whoever_comes_after() -> None:
    told = world()
    told.decide("a:1", "d1")
    told.catalog = shop(holdout=0.5)
    told.decide("a:1", "d2")
    told.decide("a:2", "d3")
    for key in ("a:1", "a:2"):
        told.time_out(key, after_ms=HORIZON)
    assert [each.split["control"] for each in told.participants] == [0.1, 0.5]


def test_another_variant_begins_another_experiment_in_which_sides_are_as_probable_as_when_they_were_drawn() -> None:
    told = world()
    told.decide(KEY, "d1")
    told.catalog = shop(holdout=0.5, variants={"bold": PlacementVariant(share=0.5)})
    told.decide(KEY, "d2", variant="bold", after_ms=HOUR)
    told.track(KEY, "Ordered", revenue=10.0)
    told.time_out(KEY, after_ms=HORIZON + HOUR)
    first, second = told.participants
    assert (first.side, second.side) == ("", "bold")
    assert second.split == {"control": 0.1, "": pytest.approx(0.45), "bold": pytest.approx(0.45)}
    assert [each.values["revenue"] for each in (first, second)] == [10.0, 10.0]


def test_who_was_on_a_side_before_anybody_remembered_how_probable_it_was_stays_outside() -> None:
    told = world()
    told.decide(KEY, "d1")
    told.visitors[KEY].folder.participations = None  # as it was before participants were kept
    told.decide(KEY, "d2")
    told.time_out(KEY, after_ms=HORIZON)
    assert told.participants == []


def test_two_visitors_who_are_one_take_part_once_since_the_earlier_exposure() -> None:
    told = world()
    told.decide("a:1", "d1", holdout=True)
    told.track("a:1", "Ordered", revenue=10.0, after_ms=HOUR)
    told.decide("u:7", "d2", holdout=False, after_ms=HOUR)
    told.track("u:7", "Ordered", revenue=20.0, after_ms=MINUTE)
    told.link("a:1", "u:7")
    told.track("u:7", "Ordered", revenue=30.0)
    for key in ("a:1", "u:7"):
        told.time_out(key, after_ms=HORIZON)
    [found] = told.participants
    assert found.side == "control"
    assert found.crossover
    assert found.values["revenue"] == 60.0
    assert found.after_ms["ordered"] == HOUR


def test_who_was_told_of_under_one_key_is_not_told_of_under_another() -> None:
    told = world(horizon_ms=HOUR)
    told.decide("a:1", "d1")
    told.time_out("a:1", after_ms=HOUR)
    told.decide("u:7", "d2")
    told.link("a:1", "u:7")
    told.time_out("u:7", after_ms=HOUR)
    assert len(told.participants) == 1


def test_who_refuses_is_told_of_no_more() -> None:
    told = world()
    told.decide(KEY, "d1")
    told.consent(KEY, {"personalization": False})
    told.time_out(KEY, after_ms=HORIZON)
    assert told.participants == []
    assert told.visitors[KEY].folder.participations is None


def test_what_is_open_is_bounded_and_what_is_not_opened_is_counted() -> None:
    told = world()
    told.decide(KEY, "d1")
    kept = told.visitors[KEY].folder.participations
    assert kept is not None
    kept.open = kept.open * MAX_PARTICIPATIONS
    kept.enrolled.clear()
    told.visitors[KEY].state.holdouts.clear()
    done = told.decide(KEY, "d2")
    assert ("participant_skipped", "hero", "") in done.notes


def test_a_state_without_participations_has_the_bytes_it_had() -> None:
    told = world(holdout=0.0)
    told.decide(KEY, "d1")
    folder = told.visitors[KEY].folder
    assert decode_folder(encode_folder(folder)) == folder
    told = world()
    told.decide(KEY, "d1")
    folder = told.visitors[KEY].folder
    assert decode_folder(encode_folder(folder)) == folder
    assert len(encode_folder(FolderState())) < 12


def test_folding_again_tells_the_same() -> None:
    def play() -> World:
        told = world()
        told.decide(KEY, "d1")
        told.send(KEY, Track(message_id="m", event="Ordered", properties={"revenue": 3.0}))
        told.time_out(KEY, after_ms=HORIZON)
        return told

    assert play().participants == play().participants


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"event": ""}, "must name the event that counts"),
        ({"event": "Ordered", "value": "properties.revenue"}, "what one visitor counts for at most"),
        ({"event": "Ordered", "value": 1.0, "cap": -1.0}, "what one visitor counts for at most"),
        ({"event": "Ordered", "cap": 5.0}, "limits a value"),
        ({"event": "Ordered", "margin": float("nan")}, "must be a finite number"),
        ({"event": "Ordered", "when": "properties.("}, "metrics.m.when"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_with_a_remedy(metric: dict[str, Any], words: str) -> None:
    catalog = Catalog(
        placements={"hero": Placement(content=("red",), default="red")},
        content={"red": Content(body="red")},
        metrics={"m": Metric(**metric)},
    )
    with pytest.raises(InvalidCatalog, match=words.replace("(", r"\(")):
        compile_catalog(catalog, 1)


@pytest.mark.parametrize("name", ["reward", "reward.click", "profit"])
def test_a_metric_has_a_name_of_its_own(name: str) -> None:
    catalog = Catalog(
        placements={"hero": Placement(content=("red",), default="red")},
        content={"red": Content(body="red")},
        metrics={name: Metric(event="Ordered")},
    )
    with pytest.raises(InvalidCatalog, match="rename it"):
        compile_catalog(catalog, 1)
