"""A chain of records tells of each one that was changed, removed, inserted or cut off, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from personalization.audit.chain import Anchor, AuditKeys, Fault, Head, SignedRecord, Verifier, decode
from personalization.audit.record import Act, Trail, visitor_mark, visitor_marks
from personalization.key_derivation import Secrets

KEYS = AuditKeys(Secrets(b"the secret").key("audit"))
OTHERS = AuditKeys(Secrets(b"a forger's").key("audit"))


def chained(n: int, keys: AuditKeys = KEYS, after: Head | None = None, trail: Trail = "acts") -> list[SignedRecord]:
    entries, last = [], after or Head()
    for each in range(n):
        act = Act(trail=trail, actor="shop/ci", act="put_item", objects=(f"content_id:{each}",))
        entries.append(keys.sealed(last, act, 1_000 + each))
        last = keys.head(trail, entries[-1])
    return entries


def fault(
    entries: list[SignedRecord], head: Head, keys: AuditKeys = KEYS, anchor: Anchor | None = None
) -> Fault | None:
    verifier = Verifier(keys, "acts", anchor)
    found = verifier.begin()
    for entry in entries:
        found = found or verifier.take(entry)
    return found or verifier.end(head)


TEN = chained(10)
LAST = KEYS.head("acts", TEN[-1])


def changed(entry: SignedRecord, keys: AuditKeys | None = None) -> SignedRecord:
    record = msgspec.structs.replace(decode(entry.body), actor="somebody else")
    body = msgspec.json.encode(record)
    forged = keys.sealed(Head(entry.n - 1, record.before), record, record.at_ms) if keys else None
    return forged or SignedRecord(entry.n, body, entry.mac)


def test_a_chain_as_it_was_written_has_no_fault() -> None:
    assert fault(TEN, LAST) is None
    assert fault([], Head()) is None


TAMPERED: dict[str, tuple[Callable[[], list[SignedRecord]], int, str]] = {
    "changed": (lambda: [*TEN[:4], changed(TEN[4]), *TEN[5:]], 5, "its signature is another's"),
    "changed and signed by a forger": (lambda: [*TEN[:4], changed(TEN[4], OTHERS), *TEN[5:]], 5, "was changed"),
    "several rewritten by a forger": (
        lambda: [*TEN[:4], *chained(3, OTHERS, KEYS.head("acts", TEN[3])), *TEN[7:]],
        5,
        "was changed",
    ),
    "no JSON any more": (lambda: [*TEN[:4], SignedRecord(5, b"{", TEN[4].mac), *TEN[5:]], 5, "cannot be read"),
    "removed": (lambda: [*TEN[:4], *TEN[5:]], 5, "was removed"),
    "several removed": (lambda: [*TEN[:4], *TEN[7:]], 5, "and 2 more behind it were removed"),
    "the first removed": (lambda: TEN[1:], 1, "was removed"),
    "the last removed": (lambda: TEN[:-1], 10, "was removed"),
    "all removed": (lambda: [], 1, "and 9 more"),
    "inserted again": (lambda: [*TEN[:5], TEN[4], *TEN[5:]], 5, "was inserted: 6 is the next"),
    "another put in its place": (lambda: [*TEN[:4], TEN[2]._replace(n=5), *TEN[5:]], 5, "was inserted"),
    "another trail's": (lambda: [chained(1, trail="reads")[0], *TEN[1:]], 1, "was inserted"),
    "a fork": (lambda: [*TEN[:4], *chained(6, after=Head(4, "0" * 64))], 5, "does not fit the record before it"),
    "appended by a forger": (lambda: [*TEN, *chained(1, OTHERS, LAST)], 11, "stands behind records"),
    "several appended by a forger": (lambda: [*TEN, *chained(3, OTHERS, LAST)], 11, "stands behind records"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_the_first_record_that_was_tampered_with_is_named(how: str) -> None:
    made, n, words = TAMPERED[how]
    found = fault(made(), LAST)
    assert found is not None
    assert found.n == n
    assert words in found.words


def test_records_that_are_cut_off_with_the_note_of_the_last_are_missed() -> None:
    # Only with a note that was signed for it could the trail end earlier.
    shorter = LAST._replace(n=9, hash=TEN[8].hash)
    for head in (shorter, Head(), KEYS.head("reads", TEN[8])):
        assert fault(TEN[:-1], head) is not None
    assert fault(TEN[:-1], KEYS.head("acts", TEN[8])) is None, "what a note kept elsewhere is for"


def test_a_trail_that_begins_later_begins_where_it_was_let_go_of() -> None:
    anchor = KEYS.anchor("acts", TEN[4])
    assert fault(TEN[4:], LAST, anchor=anchor) is None
    assert fault(TEN[5:], LAST, anchor=anchor) == Fault(5, "was removed")
    assert fault(TEN[3:], LAST, anchor=anchor) is not None
    assert fault(TEN[5:], LAST, anchor=anchor._replace(n=6, before=TEN[4].hash)) is not None
    assert fault(TEN[5:], LAST, anchor=OTHERS.anchor("acts", TEN[5])) is not None


def test_records_under_earlier_secrets_are_held_by_those_behind_them() -> None:
    eldest = chained(3, AuditKeys(Secrets(b"eldest").key("audit")))
    after = Head(3, eldest[-1].hash)
    entries = [*eldest, *chained(3, KEYS, after)]
    head = KEYS.head("acts", entries[-1])
    assert fault(entries, head) is None
    forged = changed(entries[1], AuditKeys(Secrets(b"any").key("audit")))
    found = fault([entries[0], forged, *entries[2:]], head)
    assert found is not None
    assert (found.n, found.words) == (2, "was changed: what stands behind it does not fit it")
    rotating = AuditKeys(Secrets(b"the next one", b"the secret").key("audit"))
    assert (
        fault([*TEN, *chained(1, rotating, LAST)], rotating.head("acts", chained(1, rotating, LAST)[0]), rotating)
        is None
    )


def test_a_trail_of_another_installation_is_not_taken_for_this_ones() -> None:
    found = fault(TEN, LAST, OTHERS)
    assert found is not None
    assert "NEXTBEST_SECRET_BEFORE" in found.words


def test_a_visitors_mark_tells_nobody_the_id_and_is_found_under_both_secrets() -> None:
    old, both = Secrets(b"old").key("v"), Secrets(b"new", b"old").key("v")
    mark = visitor_mark(old, "ann@example.com")
    assert "ann" not in mark
    assert mark in visitor_marks(both, "ann@example.com")
    assert mark not in visitor_marks(both, "bob@example.com")
