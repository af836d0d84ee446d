"""What the audit holds: one record for each administrative act and for each read by a key that is no page's."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import msgspec

from personalization.key_derivation import accepted
from personalization.keyed_hash import hmac_sha256

Trail: TypeAlias = Literal["acts", "reads"]
"""Acts and reads are kept apart: as many reads as you like do not push an act out."""

TRAILS: tuple[Trail, ...] = get_args(Trail)

Outcome: TypeAlias = Literal["allowed", "refused", "failed"]

KEY_PURPOSE = "audit"
"""Of the key that records are signed with."""

VISITOR_PURPOSE = "audit-visitors"
"""Of the key that visitors are marked by."""

MAX_OBJECTS = 20
MAX_OBJECT_CHARS = 256

_MARK_BYTES = 12
"""Two of a billion visitors share a mark with a probability of 1 in 10¹¹."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody does, as it is handed in to be recorded.

    Attributes
    ----------
    actor
        The source and name of a key, or how its hash begins; or the user of the command line.
    act
        What is done: the name of a route, or of a command.
    objects
        What it is done to. Visitors stand there by their mark (``visitor_mark``).
    outcome
        ``allowed``, said before it is done; ``refused``; or ``failed``, said of one that was allowed before.
    status
        Of the answer, where it is known; 0: it is not.
    network
        From which network it was asked (/24, /48); empty on the command line.
    of
        Number of the record that this one says more about; 0: of none.
    times
        How many were refused: this one, and those since the last record of the same key and act.
    """

    trail: Trail
    actor: str
    act: str
    objects: tuple[str, ...] = ()
    outcome: Outcome = "allowed"
    status: int = 0
    network: str = ""
    of: int = 0
    times: int = 1


class AuditRecord(Act, frozen=True, kw_only=True):
    """An act that was recorded.

    Attributes
    ----------
    n
        Counts from 1 within its trail, without gaps.
    at_ms
        When, milliseconds since 1970.
    before
        SHA-256 in hex of the whole record before it; empty in the first.
    key
        Names the key (of purpose ``audit``) that it is signed with, and tells nothing of it.
    vouches
        Whether whoever wrote it saw that the record before it is one of this installation.
    """

    n: int
    at_ms: int
    before: str
    key: str
    vouches: bool


def bounded(objects: tuple[str, ...]) -> tuple[str, ...]:
    """Objects as they are recorded: 20 at most, and none longer than an id may be.

    >>> bounded(("a" * 300,))[0][-3:], bounded(tuple(map(str, range(25))))[-2:]
    ('aa…', ('18', '… and 6 more'))
    """
    short = tuple(each if len(each) <= MAX_OBJECT_CHARS else f"{each[:MAX_OBJECT_CHARS]}…" for each in objects)
    if len(short) <= MAX_OBJECTS:
        return short
    kept = MAX_OBJECTS - 1
    return (*short[:kept], f"… and {len(short) - kept} more")


def visitor_mark(key: bytes, visitor_id: str) -> str:
    """What stands for a visitor: the same for the same id, and nothing an id can be told by without the key.

    The id itself, often an e-mail address, would stay here after the visitor was erased.

    Parameters
    ----------
    key
        Of the purpose ``audit-visitors``.

    >>> visitor_mark(b"k", "ann@example.com")
    'visitor:675d4c7e341a9e8bba2af3a1'
    """
    mark = hmac_sha256(key, b"visitor\x1f" + visitor_id.encode("utf-8", "surrogatepass"))
    return f"visitor:{mark[:_MARK_BYTES].hex()}"


def visitor_marks(key: bytes, visitor_id: str) -> frozenset[str]:
    """Every mark of a visitor, also those made under the secrets before."""
    return frozenset(visitor_mark(each, visitor_id) for each in accepted(key))
