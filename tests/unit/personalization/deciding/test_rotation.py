"""Rule *Rotation*: another secret moves nobody, and what was drawn under the one before is drawn again alike."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Placement
from personalization.catalog.sections.variants import PlacementVariant
from personalization.deciding.decision import Answer
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.distribution import ticket
from personalization.deciding.draw import repeatable_decision_id
from personalization.deciding.recompute import recompute
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of, trial_of
from personalization.events.decision_record import DecisionRecord
from personalization.key_derivation import Secrets
from tests.unit.personalization.events.test_decision_id import as_before
from tests.unit.personalization.scenes import Likes, ask, catalog, run

FIRST, SECOND, THIRD = b"the first secret", b"the second secret", b"the third secret"
BEFORE = DecisionKeys.of(Secrets(FIRST))
ROTATED = DecisionKeys.of(Secrets(SECOND, FIRST), FIRST)
LONG_AFTER = DecisionKeys.of(Secrets(THIRD), FIRST)

SHOP = catalog(
    drawn=Placement(
        content=("red", "green", "blue"),
        default="red",
        holdout=0.2,
        variants={"a": PlacementVariant(share=0.3), "b": PlacementVariant(share=0.4)},
    ),
    kept=Placement(content=("red", "green", "blue"), default="red", sticky=True),
)
BOTH = ("drawn", "kept")


def answer(keys: DecisionKeys, visitor: str, **more: Any) -> Answer:
    return run(SHOP, ask(*BOTH, anonymous_id=visitor, apart=True, **more), keys=keys)


def side(found: Answer) -> tuple[Any, ...]:
    """Where an answer's visitor is: held out, in which variant, with which sticky choice of which trial."""
    drawn, kept = found.decisions
    return drawn.holdout, drawn.variant, kept.content_id, trial_of(kept.decision_id)


def test_assignments_of_10_000_units_are_equal_before_and_after_a_rotation() -> None:
    before = [side(answer(BEFORE, f"a{n}")) for n in range(10_000)]
    assert {each[:3] for each in before} == {
        (held, variant, arm)
        for held, variant in ((True, ""), (False, ""), (False, "a"), (False, "b"))
        for arm in ("red", "green", "blue")
    }
    for keys in (ROTATED, LONG_AFTER):
        assert [side(answer(keys, f"a{n}")) for n in range(10_000)] == before
    other = DecisionKeys.of(Secrets(SECOND))
    assert [side(answer(other, f"a{n}")) for n in range(100)] != before[:100], "and the test would see a move"


def test_an_installation_that_never_rotated_assigns_as_releases_before_did() -> None:
    assert BEFORE.assignment == FIRST
    assert DecisionKeys.of(Secrets(SECOND, FIRST)).assignment == FIRST, "nor does one that rotates with the update"


def test_two_processes_in_the_middle_of_a_rotation_agree() -> None:
    """One has the secret in force, one has it as the next, one has forgotten the one before."""
    ahead, behind = DecisionKeys.of(Secrets(SECOND, FIRST), FIRST), DecisionKeys.of(Secrets(FIRST, SECOND), FIRST)
    for n in range(200):
        of_ahead, of_behind = (answer(keys, f"a{n}", repeatable=True) for keys in (ahead, behind))
        assert side(of_ahead) == side(of_behind)
        assert [trial_of(d.decision_id) for d in of_ahead.decisions] == [
            trial_of(d.decision_id) for d in of_behind.decisions
        ]
        for one, other in itertools.permutations((of_ahead, of_behind)):
            for decision in one.decisions:
                for keys in (ahead, behind):
                    assert key_of(keys.ids, decision.decision_id) == f"a:a{n}" == other.key


def records(keys: DecisionKeys) -> list[DecisionRecord]:
    """Of everything that was drawn for 40 visitors."""
    found = (record for n in range(40) for record in answer(keys, f"a{n}").records)
    return [record for record in found if record.ticket is not None]


@pytest.mark.parametrize("made_under", [BEFORE, ROTATED])
def test_a_decision_made_under_the_secret_before_is_made_again_with_the_same_ticket(
    made_under: DecisionKeys,
) -> None:
    for record in records(made_under):
        again = recompute(record, SHOP.catalog, Likes(), ROTATED)
        assert (again.arm, again.ticket) == (record.choice.arm, record.ticket)


def test_a_decision_of_a_release_before_is_made_again_with_the_same_ticket() -> None:
    for record in records(BEFORE):
        if record.sticky:
            continue
        decision_id = as_before(FIRST, record.key, record.decided_at_ms.to_bytes(9, "big"))
        choice = structs.replace(record.choice, decision_id=decision_id)
        old = structs.replace(record, choice=choice, message_id=decision_id)
        for keys in (BEFORE, ROTATED):
            assert recompute(old, SHOP.catalog, Likes(), keys).ticket == ticket(FIRST, decision_id)


def test_a_decision_whose_secret_is_gone_is_not_made_again_with_another_ticket() -> None:
    (record, *_) = (record for record in records(BEFORE) if not record.sticky)
    with pytest.raises(InvalidInput, match="a secret that is not known here any more"):
        recompute(record, SHOP.catalog, Likes(), LONG_AFTER)


def test_a_decision_found_by_its_requests_id_is_found_under_every_secret() -> None:
    named = {"request_id": "r1", "placement": "drawn", "slot": "0"}
    made = run(SHOP, ask("drawn", anonymous_id="e1", repeatable=True), keys=BEFORE).decisions[0].decision_id
    assert repeatable_decision_id(BEFORE, key="a:e1", **named) == made
    for keys in (ROTATED, LONG_AFTER):
        found = repeatable_decision_id(keys, key="a:e1", **named)
        assert (trial_of(found), key_of(keys.ids, found)) == (trial_of(made), "a:e1")
    assert trial_of(repeatable_decision_id(BEFORE, key="a:e2", **named)) != trial_of(made)
