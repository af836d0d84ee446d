"""Names that wait: who brings many displaces his own, and of everybody's some stay to be seen again."""

from __future__ import annotations

from online_models.waiting_names import MAX_WAITING, STALE, Name, WaitingNames


def brought(by: str, n: int) -> list[Name]:
    return [(f"{by}{at}", None) for at in range(n)]


def test_a_wide_context_earns_its_way_through_a_table_full_of_junk() -> None:
    names = WaitingNames()
    for stranger in range(12):
        names = names.after(brought(f"junk{stranger}-", 83), b"stranger%d" % stranger, stranger)
    earned: set[Name] = set()
    for at in range(12):
        waiting = [name for name in brought("useful", 180) if name not in earned]
        names = names.after(waiting, b"visitor%d" % at, 12 + at)
        earned |= {name for name in waiting if names.is_ready(name)}
        names = names.without(earned)
    assert len(earned) == 180


def test_who_floods_displaces_himself() -> None:
    names = WaitingNames()
    few = [name for person in "abcdef" for name in brought(person, 5)]
    for person in "abcdef":
        names = names.after(brought(person, 5), person.encode(), 0)
    for at in range(40):
        names = names.after(brought(f"flood{at}-", 250), b"flood", at)
    kept = {(name, level) for name, level, *_ in names.dump()}
    assert kept >= set(few)
    assert len(kept) <= MAX_WAITING


def test_what_was_seen_with_more_people_stays_unless_nobody_sends_it() -> None:
    names = WaitingNames().after(brought("two", 1), b"ann", 0).after(brought("two", 1), b"bob", 0)
    for at in range(20):
        names = names.after(brought(f"n{at}-", 100), b"unit%d" % at, 1)
    assert ("two0", None) in {(name, level) for name, level, *_ in names.dump()}
    for at in range(20):
        names = names.after(brought(f"m{at}-", 100), b"unit%d" % at, STALE + 1)
    assert ("two0", None) not in {(name, level) for name, level, *_ in names.dump()}
