"""The chain of an audit trail: each record holds the hash of the one before it, and is signed.

A record that is changed no longer fits its signature; one that is removed or inserted does not fit the number or
the hash of its neighbours. Where the records end, and where they begin once the oldest were let go of, is signed
too.

Whoever can write to Redis and never had the installation's secret can therefore change nothing unseen, save to put
the whole trail back to a state that they copied before: against that a note of the last record helps, if it is kept
elsewhere.

Records that were signed under secrets no longer known are held by the chain: every record signed under a known one
vouches for all before it. Behind such a record one under an unknown secret is taken for this installation's if the
next record says that its writer, who knew that secret, has seen that it is. That happens while a secret is rotated.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from personalization.audit.record import Act, AuditRecord, Trail, bounded
from personalization.key_derivation import accepted
from personalization.keyed_hash import hmac_sha256

NOTE_CHARS = 16


class SignedRecord(NamedTuple):
    """A record as it is stored: its number, its JSON, and the signature of that."""

    n: int
    body: bytes
    mac: bytes

    @property
    def hash(self) -> str:
        """SHA-256 of the whole, in hex: what the next one holds."""
        return hashlib.sha256(self.body + b"\x1f" + self.mac).hexdigest()


class Head(NamedTuple):
    """The last record of a trail: its number and hash, signed."""

    n: int = 0
    hash: str = ""
    key: str = ""
    mac: bytes = b""


class Anchor(NamedTuple):
    """Where a trail begins whose oldest records were let go of: the first number kept, and what it follows."""

    n: int
    before: str
    key: str
    mac: bytes


class Fault(NamedTuple):
    """The first thing that is wrong with a trail; ``n`` is the record's number."""

    n: int
    words: str


class AuditKeys:
    """The keys that records are signed with (of purpose ``audit``): the one in force, and those before.

    Parameters
    ----------
    earlier
        Of secrets that the installation had before those: nothing but a verification has them.
    """

    def __init__(self, key: bytes, earlier: Iterable[bytes] = ()) -> None:
        self._key = bytes(key)
        self.name = name_of(key)
        self._known = {name_of(each): bytes(each) for each in (*accepted(key), *earlier)}

    def knows(self, trail: Trail, head: Head) -> bool:
        """Whether the last record is one of this installation's, as far as its secrets are known here."""
        return not head.n or self.fits(head.key, head.mac, b"head", _said(trail, head.n, head.hash)) is True

    def sealed(self, after: Head, act: Act, at_ms: int, *, vouches: bool = True) -> SignedRecord:
        """The record of an act that follows ``after``; ``vouches``: it is known whose that is."""
        record = AuditRecord(
            trail=act.trail,
            actor=act.actor,
            act=act.act,
            objects=bounded(act.objects),
            outcome=act.outcome,
            status=act.status,
            network=act.network,
            of=act.of,
            times=act.times,
            n=after.n + 1,
            at_ms=at_ms,
            before=after.hash,
            key=self.name,
            vouches=vouches,
        )
        body = msgspec.json.encode(record)
        return SignedRecord(record.n, body, _mac(self._key, b"record", body))

    def head(self, trail: Trail, entry: SignedRecord) -> Head:
        """What is noted of the last record."""
        return Head(entry.n, entry.hash, self.name, _mac(self._key, b"head", _said(trail, entry.n, entry.hash)))

    def anchor(self, trail: Trail, first: SignedRecord) -> Anchor:
        """What is noted where the records before ``first`` are let go of."""
        before = decode(first.body).before
        return Anchor(first.n, before, self.name, _mac(self._key, b"anchor", _said(trail, first.n, before)))

    def fits(self, key: str, mac: bytes, what: bytes, said: bytes) -> bool | None:
        """Whether something is signed by the key called so; None: that key is not known here."""
        known = self._known.get(key)
        return None if known is None else hmac.compare_digest(_mac(known, what, said), mac)


class Verifier:
    """Looks at the records of a trail, one after the other, and stops at the first thing that is wrong.

    Attributes
    ----------
    n_foreign
        Records that were signed under a secret that is not known here, and are vouched for by those behind them.
    """

    def __init__(self, keys: AuditKeys, trail: Trail, anchor: Anchor | None) -> None:
        self._keys = keys
        self._trail = trail
        self._anchor = anchor
        self._next = 1 if anchor is None else anchor.n
        self._before = "" if anchor is None else anchor.before
        self._is_ours = self._is_foreign = False
        self._unvouched = 0
        self.first = self._next
        self.n_foreign = 0

    def begin(self) -> Fault | None:
        """What is wrong with where the trail begins."""
        if (anchor := self._anchor) is None:
            return None
        fits = self._keys.fits(anchor.key, anchor.mac, b"anchor", _said(self._trail, anchor.n, anchor.before))
        if fits is None:
            return Fault(anchor.n, f"the trail begins here by a note {_FOREIGN}")
        return None if fits else Fault(anchor.n, "the note that the trail begins here was changed")

    def take(self, entry: SignedRecord) -> Fault | None:
        """What is wrong with the next record."""
        if entry.n != self._next:
            if entry.n < self._next:
                return Fault(entry.n, f"was inserted: {self._next} is the next that was written")
            gone = entry.n - self._next
            words = "was removed" if gone == 1 else f"and {gone - 1} more behind it were removed"
            return Fault(self._next, words)
        try:
            record = decode(entry.body)
        except msgspec.MsgspecError:
            return Fault(entry.n, "was changed: it cannot be read")
        if (record.n, record.trail) != (entry.n, self._trail):
            return Fault(entry.n, "was inserted: it is another record's, or another trail's")
        fits = self._keys.fits(record.key, entry.mac, b"record", entry.body)
        if fits is False:
            return Fault(entry.n, "was changed: its signature is another's")
        if self._unvouched and not record.vouches:
            return self._forged()
        if record.before != self._before:
            if self._is_foreign:
                changed = self._unvouched or entry.n - 1
                return Fault(changed, "was changed: what stands behind it does not fit it")
            return Fault(entry.n, "does not fit the record before it: one of them was put in place of another")
        self._is_foreign = fits is None
        self.n_foreign += self._is_foreign
        self._is_ours = self._is_ours or not self._is_foreign
        self._unvouched = (self._unvouched or entry.n) if self._is_foreign and self._is_ours else 0
        self._next, self._before = entry.n + 1, entry.hash
        return None

    def end(self, head: Head) -> Fault | None:
        """What is wrong with where the trail ends."""
        last = self._next - 1
        if self._unvouched:
            return self._forged()
        if head.n == 0:
            return Fault(self.first, "has no note of a last record beside it: that was removed") if last else None
        fits = self._keys.fits(head.key, head.mac, b"head", _said(self._trail, head.n, head.hash))
        if fits is None:
            return Fault(head.n, f"is the last by a note {_FOREIGN}")
        if not fits:
            return Fault(head.n, "is not what the note of the last record was signed for: that was changed")
        if head.n > last:
            gone = head.n - last
            return Fault(last + 1, "was removed" if gone == 1 else f"and {gone - 1} more behind it were removed")
        if head.hash != self._before:
            return Fault(last, "was changed: the note of the last record does not fit it")
        return None

    def _forged(self) -> Fault:
        words = f"stands behind records of this installation, and was written {_FOREIGN}"
        return Fault(self._unvouched, f"{words}; --earlier FILE takes one that it had before those")


_FOREIGN = (
    "under a secret that is not known here; give the installation's as NEXTBEST_SECRET, and the one before as "
    "NEXTBEST_SECRET_BEFORE"
)


def decode(body: bytes) -> AuditRecord:
    """A record back; raises ``msgspec.MsgspecError`` for what is none."""
    return msgspec.json.decode(body, type=AuditRecord)


def name_of(key: bytes) -> str:
    """What a key is called in records: a hash that tells nothing of it."""
    return hashlib.sha256(b"name\x1f" + key).hexdigest()[:NOTE_CHARS]


def note_of(trail: Trail, entry: SignedRecord | Head) -> str:
    """A record in a few letters, to be kept elsewhere: ``acts:17:0f3a…``."""
    return f"{trail}:{entry.n}:{entry.hash[:NOTE_CHARS]}"


def _said(trail: Trail, n: int, text: str) -> bytes:
    return f"{trail}\x1f{n}\x1f{text}".encode()


def _mac(key: bytes, what: bytes, said: bytes) -> bytes:
    return hmac_sha256(key, what + b"\x1f" + said)
