"""A choice is verified by its record alone: whatever was changed in it is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from operations.redeciding.decision import Verdict, chosen_again
from personalization.catalog.catalog import Content, Placement
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.distribution import SCALE
from personalization.events.decision_record import DecisionRecord
from personalization.key_derivation import Secrets
from tests.unit.personalization.scenes import KEYS, Likes, ask, catalog, run

CONTENTS = {name: Content(body=name) for name in "abc"}
SHOP = catalog(CONTENTS, hero=Placement(content=("a", "b", "c"), default="b"))
APPRENTICE = catalog(CONTENTS, hero=Placement(content=("a", "b", "c"), default="b", apprentice=True))


def record(user: str = "u1", shop: object = SHOP, **asked: bool) -> DecisionRecord:
    models = {"hero": Likes(a=0.5, b=0.3, c=0.2)}
    (found,) = run(SHOP if shop is SHOP else APPRENTICE, ask("hero", user_id=user, **asked), models=models).records
    return found


@pytest.mark.parametrize("sticky", [False, True])
def test_every_choice_is_the_one_that_its_ticket_falls_on(sticky: bool) -> None:
    for user in range(40):
        verdict, words = chosen_again(record(f"u{user}", sticky=sticky), KEYS)
        assert verdict is Verdict.SAME
        assert "the same ticket" in words


def test_of_an_apprentice_what_its_policy_would_have_chosen_is_made_again() -> None:
    for user in range(40):
        found = record(f"u{user}", APPRENTICE)
        assert found.choice.arm == "b"
        assert chosen_again(found, KEYS)[0] is Verdict.SAME


def _other_arm(found: DecisionRecord) -> DecisionRecord:
    other = next(arm for arm in found.arms if arm != found.choice.arm)
    return structs.replace(found, choice=structs.replace(found.choice, arm=other))


def _other_weight(found: DecisionRecord) -> DecisionRecord:
    return structs.replace(found, choice=structs.replace(found.choice, weight=found.choice.weight - 1))


def _other_ticket(found: DecisionRecord) -> DecisionRecord:
    at = found.arms.index(found.choice.arm)
    first = sum(found.weights[:at])
    ticket = first if found.ticket != first else first + 1
    return structs.replace(found, ticket=ticket)


def _short_weights(found: DecisionRecord) -> DecisionRecord:
    return structs.replace(found, weights=(found.weights[0] - 1, *found.weights[1:]))


@pytest.mark.parametrize("changed", [_other_arm, _other_weight, _other_ticket, _short_weights])
def test_a_record_that_somebody_changed_is_seen(changed: Callable[[DecisionRecord], DecisionRecord]) -> None:
    found = record()
    assert sum(found.weights) == SCALE
    assert chosen_again(found, KEYS)[0] is Verdict.SAME
    assert chosen_again(changed(found), KEYS)[0] is Verdict.DIFFERENT


def test_without_the_secret_the_recorded_ticket_stands_and_that_is_said() -> None:
    verdict, words = chosen_again(record(), DecisionKeys.of(Secrets(b"another")))
    assert verdict is Verdict.SAME
    assert "the ticket itself is the recorded one" in words


def test_where_nothing_was_drawn_nothing_is_made_again() -> None:
    found = structs.replace(record(), ticket=None, reason="no model could be read")
    assert chosen_again(found, KEYS) == (Verdict.NOT_MADE, "Nothing was drawn (no model could be read).")
