"""What is read aloud: the words of each tier, of each refusal, of each word on consent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from personalization.audience.profile import apply_event
from personalization.catalog.catalog import Cap, Content, Placement
from personalization.catalog.sections.variants import PlacementVariant
from personalization.deciding.request import PlacementRequest
from personalization.events.event import Track
from personalization.explaining.explanation import Explanation
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import Exposure, Holdout, Session, Sticky, VisitorState
from tests.unit.personalization.explaining.watched import watched, why
from tests.unit.personalization.scenes import NOW, Broken, Likes, ask, catalog, with_receipt

DAY = 86_400_000
SAID_NOTHING = " The visitor has said nothing about personalization, which their source takes for a yes."
CANNOT_TELL = " This model cannot tell what each feature did."


class Telling(Likes):
    """A model that takes its estimates apart."""

    def contributions(self, *_: Any, **__: Any) -> Any:
        parts = {"counts.Viewed": 0.08, "device": -0.021, "traits.plan": 0.02, "hour": 0.001, "weekday": 0.0001}
        return SimpleNamespace(mean_estimate=0.1, estimate=0.18, by_feature=parts)


def words(*terms: Any, **more: Any) -> str:
    told = why(*terms, **more).words
    assert told.endswith((SAID_NOTHING, SAID_NOTHING + CANNOT_TELL))
    return told.removesuffix(CANNOT_TELL).removesuffix(SAID_NOTHING)


def two(**terms: Any) -> Any:
    """A shop that shows red or green."""
    return catalog(hero=Placement(content=("red", "green"), default="red", **terms))


# Tiers.


def test_a_personalised_choice() -> None:
    assert words(two(), models={"hero": Likes(red=0.5, green=4.0)}) == (
        "The visitor was shown green, with a probability of 89 %. "
        "The model expects a reward of 0.4 (± 0.25) from it, more than from red (0.05)."
    )


def test_a_choice_that_explores() -> None:
    shop = catalog()
    told = words(shop, models={"hero": Likes(red=0.1, green=3, blue=1)})
    assert told == (
        "The visitor was shown blue, with a probability of 24 %. "
        "The model expects a reward of 0.1 (± 0.25) from it, less than from green (0.3). "
        "Now and then others are shown too, so that the model keeps learning about them."
    )


def test_what_spoke_for_it_and_against_it() -> None:
    shop = two(features=("counts", "device", "hour"))
    state = VisitorState()
    apply_event(state, Track(message_id="m", event="Viewed"), NOW, NOW, shop.catalog)
    told = words(shop, states=[state], models={"hero": Telling(red=1e-9)})
    assert told.partition(" What spoke")[2] == (
        " for green: the count of Viewed is 1 (+0.08); nothing is known of traits.plan (+0.02); "
        "it is 22 o'clock (+0.001). What spoke against green: the device is unknown (-0.021)."
    )


def test_a_contextual_choice() -> None:
    assert "The model went by the request alone, as the visitor's state could not be read." in words(
        two(), states=None
    )


def test_a_choice_for_nobody() -> None:
    told = words(two(), ask(anonymous_id=None), states=None)
    assert "The model went by the request alone, as nobody was named." in told


@pytest.mark.parametrize(
    ("terms", "obstacle"),
    [
        ({"models": {}}, "no model could be read"),
        ({"models": {"hero": Broken()}}, "the model failed to answer"),
        ({"out_of_time": lambda: True}, "the deadline has passed"),
    ],
)
def test_rules_say_why_no_model_chose(terms: Any, obstacle: str) -> None:
    assert words(two(), **terms) == (
        f"The visitor was shown red by rules alone, without a model, as {obstacle}. "
        "It is the first by priority of what may be shown."
    )


def test_rules_say_that_there_was_no_consent() -> None:
    assert why(two(), ask(consent_default=False)).words == (
        "The visitor was shown red by rules alone, without a model, as there was no consent to personalization. "
        "It is the first by priority of what may be shown. "
        "The visitor has said nothing about personalization, which their source takes for a no."
    )


def test_the_default_where_the_placement_is_closed() -> None:
    assert words(two(when="n_orders > 3"), states=[VisitorState()]) == (
        "The visitor was shown red, the placement's default, as nothing else may be shown. "
        "Nothing of the placement was allowed: its rule asks for n_orders > 3, and n_orders is 0."
    )


def test_the_default_where_nothing_is_eligible() -> None:
    shop = catalog({"red": Content(body="x", when="n_orders > 3")})
    assert words(shop, states=[VisitorState()]) == (
        "The visitor was shown red, the placement's default, as nothing else may be shown. "
        "red was not allowed, and is shown all the same as nothing else was left: its rule asks for n_orders > 3, "
        "and n_orders is 0."
    )


def test_a_placement_closed_by_the_request_needs_no_state_to_say_so() -> None:
    told = words(two(when="device == 'mobile'"), states=None)
    assert told.endswith("its rule asks for device == 'mobile', and device is 'unknown'.")


# Holdouts, what is kept, apprentices, variants.


def test_the_control_of_a_holdout() -> None:
    assert words(two(holdout=0.9999), states=[VisitorState()]) == (
        "The visitor was shown red, the placement's control. "
        "They are held out, so that what personalization is worth can be measured."
    )


def test_a_holdout_that_is_drawn_evenly_since_then() -> None:
    state = VisitorState(holdouts={"hero": Holdout(True, NOW - DAY)})
    told = words(two(holdout=0.5, control="uniform"), states=[state])
    assert told.endswith(
        ", drawn evenly from 2 arms. They have been held out since 2023-11-13 22:13 UTC, so that what "
        "personalization is worth can be measured."
    )


def test_a_choice_that_is_kept_from_now_on() -> None:
    assert "This visit keeps it until the visitor is silent for 30 minutes." in words(
        two(sticky=True), states=[VisitorState()]
    )


def test_a_choice_that_was_kept() -> None:
    state = VisitorState(
        now_ms=NOW,
        session=Session(1, NOW - 60_000, NOW),
        sticky={"hero/0": Sticky("d", "green", 2**31, NOW - 60_000)},
    )
    assert words(two(sticky=True), states=[state]) == (
        "The visitor was shown green, which this visit keeps: it was chosen at 2023-11-14 22:12 UTC with a "
        "probability of 50 %, and stays until the visitor is silent for 30 minutes or may not be shown it any more."
    )


def test_an_apprentice() -> None:
    assert words(two(apprentice=True), models={"hero": Likes(red=1e-9, green=9)}) == (
        "The visitor was shown red, the baseline. This placement is an apprentice: it shows what would be shown "
        "without it, and watches. Its policy would have drawn green. "
        "The model expects a reward of 1e-10 (± 0.25) from it, less than from green (0.9)."
    )


def test_a_variant() -> None:
    shop = two(variants={"bold": PlacementVariant(share=1.0)})
    told = words(shop, models={"hero@bold": Likes()})
    assert told.endswith("The visitor is in the placement's variant bold.")


def test_a_deferred_choice() -> None:
    assert words(two(), ask(activate=False), models={"hero": Likes(red=1e-9)}).startswith(
        "green was chosen for the visitor, with a probability of more than 99.9 %."
    )


# Refusals.


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (Content(body=1, starts_ms=NOW + DAY), "it starts on 2023-11-15 22:13 UTC"),
        (Content(body=1, ends_ms=NOW - DAY), "it ended on 2023-11-13 22:13 UTC"),
        (
            Content(body=1, when="traits.plan == 'pro'"),
            "its rule asks for traits.plan == 'pro', and traits.plan is 'free'",
        ),
        (
            Content(body=1, when="traits.plan == 'pro' && n_orders > 2"),
            "its rule asks for traits.plan == 'pro' && n_orders > 2, and traits.plan == 'pro' does not hold: "
            "traits.plan is 'free' and n_orders > 2 does not hold: n_orders is 1",
        ),
        (
            Content(body=1, cap=(Cap(limit=2, per="day"),)),
            "the visitor saw it 3 times today (UTC), and its cap allows it twice",
        ),
        (
            Content(body=1, cap=(Cap(limit=1),)),
            "the visitor saw it twice in this session, and its cap allows it once",
        ),
        (
            Content(body=1, cap=(Cap(limit=4, per="visitor"),)),
            "the visitor saw it 5 times so far, and its cap allows it 4 times",
        ),
    ],
)
def test_a_refusal(content: Content, told: str) -> None:
    state = VisitorState(
        now_ms=NOW,
        session=Session(1, NOW - 60_000, NOW),
        traits={"plan": "free"},
        n_orders=1,
        exposures={"other": Exposure(5, NOW // DAY, 3, 2, NOW)},
    )
    explained = why(catalog({"red": Content(body=1), "other": content}), states=[state])
    (refused,) = explained.refused
    assert refused.words == told
    assert f"other was not allowed: {told}." in explained.words


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            Content(body=1, when="traits.plan == 'pro'"),
            "its rule asks for traits.plan == 'pro', and the visitor's state could not be read",
        ),
        (Content(body=1, cap=(Cap(limit=1),)), "it has a cap, and the visitor's state could not be read"),
        (
            Content(body=1, when="device == 'mobile'"),
            "its rule asks for device == 'mobile', and device is 'unknown'",
        ),
    ],
)
def test_a_refusal_without_a_state(content: Content, told: str) -> None:
    (refused,) = why(catalog({"red": Content(body=1), "other": content}), states=None).refused
    assert refused.words == told


def test_a_refusal_without_consent() -> None:
    shop = catalog({"red": Content(body=1), "other": Content(body=1, when="n_orders > 0")})
    (refused,) = why(shop, ask(consent_default=False), states=[VisitorState(n_orders=1)]).refused
    assert refused.words == (
        "its rule asks for n_orders > 0, and without consent to personalization nothing of the visitor may be "
        "looked at"
    )


def test_a_refusal_by_what_the_answer_shows_already() -> None:
    _, told = watched(catalog(), ask(PlacementRequest("hero", 2)))
    assert [refused.words for refused in told[1].refused] == ["the same answer shows it already"]
    promo = Content(body=1, group="promos", cap=(Cap(limit=1, within_ms=7 * DAY, of="group"),))
    shop = catalog({"a": promo, "b": promo, "c": Content(body=1)})
    _, told = watched(shop, ask(PlacementRequest("hero", 2)), [VisitorState()], {"hero": Likes(c=1e-9)})
    by_group = [refused for refused in told[1].refused if refused.reason == "cap"]
    assert [refused.words for refused in by_group] == [
        "the visitor saw contents of the group promos not once within 7 days, this answer shows them once, and its "
        "cap allows that once"
    ]
    assert (by_group[0].values["counted"], by_group[0].values["inThisAnswer"]) == (0, 1)


def test_a_refusal_by_type() -> None:
    shop = catalog({"a": Content(body="x", type="html"), "b": Content(body=1)})
    (refused,) = why(shop, ask(of_type="html")).refused
    assert refused.words == "it is json, and another type was asked for"


def test_of_many_refusals_the_first_are_told() -> None:
    shop = catalog({name: Content(body=1, ends_ms=NOW if name != "a" else None) for name in "abcdefgh"})
    assert words(shop).endswith(
        "f was not allowed: it ended on 2023-11-14 22:13 UTC. 2 more arms were not allowed."
    )


# Consent.


def consent_words(explained: Explanation) -> str:
    return explained.words.removesuffix(CANNOT_TELL).rpartition(". ")[2]


@pytest.mark.parametrize(
    ("request_", "state", "told"),
    [
        (
            ask(),
            VisitorState(consents={"personalization": Word(True, NOW - DAY)}),
            "The visitor agreed to personalization on 2023-11-13 22:13 UTC.",
        ),
        (
            ask(),
            VisitorState(consents={"personalization": Word(False, NOW - DAY)}),
            "The visitor refused personalization on 2023-11-13 22:13 UTC.",
        ),
        (
            with_receipt(NOW - DAY),
            VisitorState(),
            "The visitor agreed to personalization on 2023-11-13 22:13 UTC, and the request brought the receipt "
            "for it.",
        ),
        (
            ask(context={"consent": {"personalization": True}}),
            VisitorState(),
            "The request says that the visitor agrees to personalization.",
        ),
        (
            ask(context={"consent": {"personalization": False}}),
            VisitorState(),
            "The request says that the visitor refuses personalization.",
        ),
        (ask(refused=("personalization",)), VisitorState(), "The visitor's browser refuses personalization."),
    ],
)
def test_a_word_on_consent(request_: Any, state: VisitorState, told: str) -> None:
    assert consent_words(why(catalog(), request_, [state])) == told
