"""What is eligible always follows from the conditions: nothing that has one is passed over."""

from __future__ import annotations

import pytest

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Cap, Content
from personalization.catalog.compiled_catalog import Arm
from personalization.deciding import eligibility
from personalization.deciding.eligibility import (
    CAP,
    ENDED,
    NO_STATE,
    NOT_STARTED,
    RULE,
    Condition,
    conditional,
    conditions,
)
from personalization.visitor.visitor_state import Exposure, VisitorState
from tests.unit.personalization.scenes import NOW, ask, catalog, run

CONTENTS = {
    "always": Content(),
    "later": Content(starts_ms=NOW + 1),
    "over": Content(ends_ms=NOW),
    "ruled": Content(when="n_orders > 0"),
    "capped": Content(cap=(Cap(limit=1),)),
    "all": Content(starts_ms=NOW - 1, ends_ms=NOW + 1, when="n_orders == 0", cap=(Cap(limit=1),)),
}
SEEN = {name: Exposure(1, NOW // 86_400_000, 1, 1, NOW) for name in ("capped", "all")}


def test_each_condition_refuses_with_its_own_word() -> None:
    state = VisitorState(exposures=dict(SEEN), now_ms=NOW, last_ms=NOW, first_ms=NOW)
    state.session.number, state.session.started_ms, state.session.last_ms = 1, NOW - 1, NOW
    (record,) = run(catalog(CONTENTS), states=[state]).records
    assert record.arms == ("always",)
    assert record.filtered == {"later": NOT_STARTED, "over": ENDED, "ruled": RULE, "capped": CAP, "all": CAP}


def test_without_the_state_rules_and_caps_refuse() -> None:
    shop = catalog(CONTENTS)
    scope = VisitorScope(None, {}, shop.catalog, NOW, known=False)
    arms = conditional(shop.placements["hero"].compiled.arms, "hero")
    found = eligibility.refusals(arms, scope, 0)
    assert found == {"later": NOT_STARTED, "over": ENDED, "ruled": NO_STATE, "capped": NO_STATE, "all": NO_STATE}


def test_an_arm_is_conditional_exactly_if_a_condition_applies() -> None:
    arms = catalog(CONTENTS).placements["hero"].compiled.arms
    assert [each.arm.id for each in conditional(arms, "hero")] == ["later", "over", "ruled", "capped", "all"]
    all_but_stock = len(conditions("hero")) - 1
    assert [len(each.refusals) for each in conditional(arms, "hero")] == [1, 1, 1, 1, all_but_stock]


class _SoldOut:
    """A condition of tomorrow: applies to arms by their id alone."""

    def applies(self, arm: Arm) -> bool:
        return arm.id == "red"

    def refusal(self, arm: Arm, scope: VisitorScope, session_start_ms: int) -> str | None:
        return "sold_out"


def test_a_new_condition_is_asked_of_arms_that_had_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(catalog(), ask()).records[0].filtered == {}

    def of_tomorrow(placement: str) -> tuple[Condition, ...]:
        return (*conditions(placement), _SoldOut())

    monkeypatch.setattr(eligibility, "conditions", of_tomorrow)
    (record,) = run(catalog(), ask()).records
    assert record.filtered == {"red": "sold_out"}
    assert record.arms == ("green", "blue")
