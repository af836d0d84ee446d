"""The rule *A backfill*: afterwards windows know what they would, had they been declared when the log began."""

from __future__ import annotations

import random
from typing import Any

import pytest

from personalization.events.entry import LOGGED_OUT, SAME_PERSON, Sender
from personalization.events.event import Link
from tests.unit.operations.backfilled import N_PARTITIONS, NEWEST, Both
from tests.unit.personalization.world import MINUTE

HOUR = 60 * MINUTE
SITE = Sender("site", "write", after_login=SAME_PERSON)
OTHER = Sender("site", "write", after_login=LOGGED_OUT)
SHY = Sender("shy", "write")
PROVEN = Sender("site", "server", verified=True)


def act(both: Both, rng: random.Random, number: int, *, gated: bool = False, n_cut: int = 0) -> None:
    """Something happens.

    Parameters
    ----------
    gated
        Nothing is sent late, and the collector keeps out what is refused.
    n_cut
        Messages that are not sent again: those from before a cut, which would carry the time they had then.
    """
    key = rng.choice(("a:1", "a:2", "a:3", "u:1", "u:2"))
    terms: dict[str, Any] = {
        "after_ms": rng.choice((1, MINUTE, HOUR, 30 * HOUR)),
        "late_ms": rng.choice((0, 0, 0, MINUTE, 20 * HOUR)),
        "sender": rng.choice((SITE, SITE, OTHER, SHY, PROVEN)),
    }
    if gated:
        terms |= {"late_ms": 0, "sender": rng.choice((SITE, OTHER))}
        if both.refused(key):
            both.consent(key, number, granted=rng.random() < 0.5, **terms)
            return
    match rng.random():
        case roll if roll < 0.6:
            name = rng.choice(("Viewed", "Viewed", "Viewed", "Ordered", "page"))
            both.track(key, name, number, price=rng.choice((-1.0, 2.0, 7.0)), **terms)
        case roll if roll < 0.68:
            n_messages, both.n_messages = both.n_messages, max(n_cut, both.n_messages - rng.randrange(4))
            both.track(key, "Viewed", number, **terms)  # perhaps sent twice
            both.n_messages = max(n_messages, both.n_messages)
        case roll if roll < 0.76:
            both.consent(key, number, granted=rng.random() < 0.6, **terms)
        case roll if roll < 0.92:
            both.send(key, Link(canonical=rng.choice(("a:1", "a:2", "u:1", "u:2"))), number)
        case _:
            n = rng.randrange(N_PARTITIONS)
            for log in (both.real, both.ideal):
                log.copy_last(n, both.now_ms)
                log.pump(both.order)


def history(seed: int) -> tuple[Both, random.Random]:
    rng = random.Random(seed)
    both = Both(order=rng.sample(range(N_PARTITIONS), N_PARTITIONS))
    for number in (1, 2, 1, 2, 3):
        for _ in range(rng.randrange(30)):
            act(both, rng, number)
    return both, rng


def assert_equal(both: Both, since_ms: int = 0) -> None:
    for key in both.everybody() - both.real.refused:
        assert both.real.windows(key, since_ms) == both.ideal.windows(key, since_ms), key


@pytest.mark.parametrize("seed", range(100))
async def test_whatever_happened_windows_know_what_they_would(seed: int) -> None:
    both, rng = history(seed)
    both.give(await both.missing())
    assert_equal(both)
    for _ in range(20):
        act(both, rng, NEWEST)
    assert_equal(both)
    left = [key for key, _ in await both.missing() if key not in both.real.refused]
    assert left == [], "and a second time there is nothing to give"


@pytest.mark.parametrize("seed", range(100))
async def test_one_that_is_interrupted_and_run_again_is_exact(seed: int) -> None:
    both, rng = history(seed)
    missing = await both.missing()
    both.give([each for each in missing if rng.random() < 0.5])
    for _ in range(rng.randrange(10)):
        act(both, rng, NEWEST)
    both.give(await both.missing())
    assert_equal(both)


@pytest.mark.parametrize("seed", range(100))
async def test_what_happens_between_counting_and_giving_is_counted_once(seed: int) -> None:
    both, rng = history(seed)
    missing = await both.missing()
    for _ in range(rng.randrange(6)):
        act(both, rng, NEWEST)
    both.give(missing)
    assert_equal(both)


@pytest.mark.parametrize("seed", range(100))
async def test_a_log_that_was_trimmed_tells_of_what_happened_since(seed: int) -> None:
    rng = random.Random(seed)
    both = Both(order=rng.sample(range(N_PARTITIONS), N_PARTITIONS))
    starts, since_ms, n_cut = [0] * N_PARTITIONS, 0, 0
    for n, number in enumerate((1, 2, 1, 2, 3)):
        if n == 2:
            starts, since_ms = [len(entries) for entries in both.real.partitions], both.now_ms
            n_cut = both.n_messages
        for _ in range(rng.randrange(30)):
            act(both, rng, number, gated=True, n_cut=n_cut)
    both.give(await both.missing(starts=starts, since_ms=since_ms))
    assert_equal(both, since_ms)


async def test_who_agreed_before_the_log_begins_had_agreed() -> None:
    both = Both()
    both.consent("a:1", 1, granted=True, sender=SHY)
    starts, since_ms = [len(entries) for entries in both.real.partitions], both.now_ms
    both.track("a:1", "Viewed", 1, sender=SHY, after_ms=MINUTE)
    both.track("a:2", "Viewed", 1, sender=SHY)  # who never agreed: it was not applied
    both.give(await both.missing(starts=starts, since_ms=since_ms))
    assert_equal(both, since_ms)
    assert both.real.windows("a:1", since_ms)
    assert not both.real.windows("a:2")


async def test_what_was_given_from_more_than_is_left_of_the_log_is_not_given_again() -> None:
    both = Both()
    both.track("a:1", "Viewed", 1)
    starts, since_ms = [len(entries) for entries in both.real.partitions], both.now_ms
    both.track("a:1", "Viewed", 1, after_ms=MINUTE)
    both.give(await both.missing())
    assert_equal(both)
    assert [each.times for _, each in await both.missing(starts=starts, since_ms=since_ms)] == []


def test_the_histories_are_worth_it() -> None:
    """There is something to give in most of them, some of it beside a redirect, and some to who moved."""
    n_given = n_redirects = n_refused = 0
    for seed in range(50):
        both, _ = history(seed)
        lacking = [key for key in both.everybody() if both.real.windows(key) != both.ideal.windows(key)]
        n_given += bool(lacking)
        n_redirects += any(both.ideal.visitors[key].state.redirect for key in lacking)
        n_refused += any(both.refused(key) for key in both.everybody())
    assert n_given > 40
    assert n_redirects > 5
    assert n_refused > 10
