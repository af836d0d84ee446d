"""Rule *Randomness*, sticky choices: a repeat is the same trial, shown once more."""

from __future__ import annotations

import pytest

from personalization.catalog.catalog import Content, Placement
from personalization.deciding.request import SentEvent
from personalization.errors import InvalidInput
from personalization.events.decision_id import trial_of
from personalization.events.event import Track
from personalization.visitor.visitor_state import Session, Sticky, VisitorState
from tests.unit.personalization.scenes import NOW, Likes, ask, catalog, made, nonces, run

SHOP = catalog(hero=Placement(content=("red", "green", "blue"), default="red", sticky=True))


def test_agreeing_first_calls_are_one_trial() -> None:
    first = run(SHOP, nonce=nonces())
    second = run(SHOP)
    assert first.decisions[0].decision_id == second.decisions[0].decision_id
    assert first.decisions[0].content_id == second.decisions[0].content_id


def test_disagreeing_first_calls_are_two_honest_trials() -> None:
    for user in range(100):
        request = ask(user_id=f"u{user}")
        one = run(SHOP, request, models={"hero": Likes(red=1, green=1e-9, blue=1e-9)})
        other = run(SHOP, request, models={"hero": Likes(red=1e-9, green=1, blue=1e-9)})
        assert one.records[0].ticket == other.records[0].ticket, "the draw is the same, the weights differ"
        if one.decisions[0].content_id != other.decisions[0].content_id:
            assert one.decisions[0].decision_id != other.decisions[0].decision_id


def test_a_repeat_returns_the_original_id_and_probability_and_adds_an_exposure() -> None:
    state = VisitorState(session=Session(2, NOW - 9, NOW - 9, 1, 1))
    state.sticky["hero/0"] = Sticky("original", "blue", 2**30, NOW - 9)
    answer = run(SHOP, states=[state])
    (decision,) = answer.decisions
    assert (decision.decision_id, decision.content_id, decision.probability) == ("original", "blue", 0.25)
    event = made(answer)[0]
    assert (event.choice.decision_id, event.choice.weight, event.exposed, event.sticky, event.trains) == (
        "original", 2**30, True, True, False,
    )  # fmt: skip
    assert event.message_id != "original"
    assert answer.records == [], "no new trial"


def test_the_next_session_draws_anew() -> None:
    state = VisitorState(session=Session(2, 0, NOW - 31 * 60_000, 1, 1))
    state.sticky["hero/0"] = Sticky("original", "blue", 2**30, NOW - 31 * 60_000)
    answer = run(SHOP, states=[state])
    assert answer.decisions[0].decision_id != "original"
    assert answer.records[0].session == 3
    assert made(answer)[0].replaces == "original"


def test_the_session_is_the_one_after_the_requests_events() -> None:
    event = SentEvent(Track(message_id="m", anonymous_id="a1", event="Viewed"), NOW)
    without = run(SHOP, ask())
    with_events = run(SHOP, ask(events=(event,)))
    assert without.decisions[0].decision_id == with_events.decisions[0].decision_id
    assert with_events.records[0].session == 1


def test_a_kept_arm_that_is_no_longer_eligible_is_not_shown() -> None:
    contents = {"red": Content(body=1), "blue": Content(body=1, ends_ms=NOW)}
    shop = catalog(contents, hero=Placement(content=("red", "blue"), default="red", sticky=True))
    state = VisitorState(session=Session(2, NOW, NOW, 1, 1), sticky={"hero/0": Sticky("old", "blue", 2**30, NOW)})
    assert run(shop, states=[state]).decisions[0].content_id == "red"


def test_a_choice_that_may_no_longer_be_shown_is_replaced_by_a_draw_of_its_own() -> None:
    """The kept arm is known by now: drawing again with its ticket would be no draw."""
    contents = {"red": Content(body=1), "green": Content(body=1), "blue": Content(body=1, ends_ms=NOW)}
    shop = catalog(contents, hero=Placement(content=("red", "green", "blue"), default="red", sticky=True))
    n_red = 0
    for n in range(400):
        request = ask(anonymous_id=f"a{n}")
        first = run(SHOP, request)
        if first.decisions[0].content_id != "blue":
            continue
        kept = Sticky(first.decisions[0].decision_id, "blue", 2**30, NOW)
        state = VisitorState(session=Session(1, NOW, NOW, 1, 1), sticky={"hero/0": kept})
        again = run(shop, request, states=[state])
        assert again.records[0].ticket != first.records[0].ticket
        assert again.records[0].replaces == trial_of(kept.decision_id)
        n_red += again.decisions[0].content_id == "red"
    assert 40 < n_red < 95, "both arms are drawn by those who were shown blue"


@pytest.mark.parametrize("holdout", [0.0, 0.5])
def test_a_log_in_changes_neither_arm_nor_side(holdout: float) -> None:
    """Before anything is folded, a call for the anonymous id and one for both ids agree."""
    shop = catalog(hero=Placement(content=("red", "green", "blue"), default="red", sticky=True, holdout=holdout))
    for n in range(200):
        before = run(shop, ask(user_id=None, anonymous_id=f"a{n}"))
        after = run(shop, ask(user_id=f"u{n}", anonymous_id=f"a{n}"))
        assert before.decisions[0].content_id == after.decisions[0].content_id
        assert before.decisions[0].holdout == after.decisions[0].holdout
        ids = [answer.decisions[0].decision_id for answer in (before, after)]
        assert trial_of(ids[0]) == trial_of(ids[1]) or before.decisions[0].holdout
        assert ids[0] != ids[1], "each leads to the log of its own key"


def test_a_placement_stands_once_in_a_call() -> None:
    with pytest.raises(InvalidInput, match=r"placements\[1\].*a second time"):
        run(SHOP, ask("hero", "hero"))
