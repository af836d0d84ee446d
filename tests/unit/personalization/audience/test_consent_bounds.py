"""The rules *Consent* and *Bounds* together: however much is said, no refusal is forgotten, and little is kept."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from personalization.events.event import Track
from personalization.visitor.purposes import (
    ALL,
    MAX_PURPOSES,
    OTHERS,
    PERSONALISING,
    Word,
    Words,
    add,
    may,
    merge,
    normal,
)
from tests.unit.personalization.world import World

NAMED = frozenset({"personalization", "ads", "sale_sharing"})
SPELLINGS = ["Personalization", "personalization ", "ADS", "ads", "Sale-Sharing", "sale sharing", "*"]
VENDORS = [f"vendor {n}" for n in range(2 * MAX_PURPOSES)]
PURPOSES = st.one_of(st.sampled_from(SPELLINGS), st.sampled_from(VENDORS))
SAID = st.builds(
    lambda n_vendors, granted, more: [(vendor, granted, 20) for vendor in VENDORS[:n_vendors]] + more,
    st.sampled_from([0, MAX_PURPOSES - 1, MAX_PURPOSES, len(VENDORS)]),
    st.booleans(),
    st.lists(st.tuples(PURPOSES, st.booleans(), st.integers(0, 40)), max_size=50),
)
"""(purpose, granted, when): first those of a banner, then in any order, at once too."""


class EverythingSaid:
    """All that was ever said, without a bound: what the words kept must never be laxer than."""

    def __init__(self, said: Sequence[tuple[str, bool, int]]) -> None:
        self.latest: dict[str, tuple[int, bool]] = {}
        for purpose, granted, at_ms in said:
            name = normal(purpose)
            if name == ALL and granted:
                continue
            # The later word holds, and of two at once the refusal.
            self.latest[name] = max(self.latest.get(name, (-1, False)), (at_ms, not granted))

    def refuses(self, purpose: str) -> bool:
        own, everything = self.latest.get(purpose, (-1, False)), self.latest.get(ALL, (-1, False))
        return everything[1] if everything[0] > own[0] else own[1]


def kept(said: Sequence[tuple[str, bool, int]]) -> Words:
    words: Words = {}
    for purpose, granted, at_ms in said:
        add(words, purpose, Word(granted, at_ms), NAMED)
    return words


def check(words: Words, said: Sequence[tuple[str, bool, int]]) -> None:
    everything = EverythingSaid(said)
    for purpose in map(normal, (*SPELLINGS, *VENDORS, "never named")):
        granted = may(words, purpose, default=True)
        assert not (granted and everything.refuses(purpose)), f"the refusal of {purpose} is forgotten"
        if purpose == PERSONALISING or (purpose in NAMED and OTHERS not in words):
            assert granted is not everything.refuses(purpose), f"{purpose} has a place, and is exact"
    assert len(words) <= MAX_PURPOSES + len(NAMED) + 2


@given(SAID)
def test_no_refusal_is_forgotten_however_much_is_said(said: list[tuple[str, bool, int]]) -> None:
    check(kept(said), said)


@example([(vendor, False, 20) for vendor in VENDORS] + [("vendor 0", True, 21)], [(VENDORS[-1], True, 20)])
@example([(VENDORS[0], False, 3)], [*((vendor, False, 20) for vendor in VENDORS[::-1]), (VENDORS[0], True, 10)])
@given(SAID, SAID)
def test_nor_by_a_merge_whichever_way(
    ours: list[tuple[str, bool, int]], theirs: list[tuple[str, bool, int]]
) -> None:
    for first, second in ((ours, theirs), (theirs, ours)):
        words = kept(first)
        merge(words, kept(second), NAMED)
        check(words, [*first, *second])


def test_refusals_that_had_no_room_elsewhere_outlast_older_grants_here() -> None:
    """Also where the catalog names other purposes by now, and there would be room for all that is said by name."""
    words = kept([("vendor 1", True, 3), ("vendor 2", True, 30), ("ads", True, 3)])
    merge(words, {OTHERS: Word(False, 20)}, NAMED)
    granted = {
        purpose for purpose in ("vendor_1", "vendor_2", "vendor_3", "ads") if may(words, purpose, default=True)
    }
    assert granted == {"vendor_2", "ads"}


def test_a_banner_of_hundreds_of_vendors_leaves_what_matters() -> None:
    """Sixteen, as many as there is room for, and hundreds; before the refusal and in the same event."""
    for n_vendors in (16, MAX_PURPOSES, 500):
        vendors = {f"vendor {n}": bool(n % 2) for n in range(n_vendors)}
        for together in (True, False):
            world = World()
            if not together:
                world.consent("a:1", vendors)
            world.consent("a:1", {**(vendors if together else {}), "Personalization": False})
            assert world.track("a:1", "Viewed").reason == "consent"
            consents = world.visitors["a:1"].state.consents
            assert len(consents) <= MAX_PURPOSES + 2
            assert not any(may(consents, normal(f"vendor {n}"), default=True) for n in range(0, n_vendors, 2))


def test_who_refuses_vendors_alone_goes_on_being_known() -> None:
    """Forty of them leave no room; what is kept of the last is no refusal of everything."""
    world = World()
    world.track("a:1", "Viewed")
    world.consent("a:1", {f"vendor {n}": False for n in range(40)})
    state = world.visitors["a:1"].state
    assert (state.event_count, may(state.consents, PERSONALISING, default=True)) == (2, True)
    assert not may(state.consents, "vendor_39", default=True)
    world.consent("a:1", {"*": False})
    assert world.visitors["a:1"].state.event_count == 0, "of everything, in so many words"


def test_long_names_that_begin_alike_are_purposes_of_their_own() -> None:
    """A grant of one is no grant of another, refused before."""
    world = World()
    long = "measure how often advertisements of partner number one hundred and "
    world.send("a:1", Track(message_id="no", event="Consent Updated", properties={f"{long} one": False}))
    world.send("a:1", Track(message_id="yes", event="Consent Updated", properties={f"{long} two": True}))
    consents = world.visitors["a:1"].state.consents
    assert not may(consents, normal(f"{long} one"), default=True)
    assert may(consents, normal(f"{long} two"), default=False)
