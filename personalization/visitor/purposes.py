"""The one gate of consent: whether something may be done for a purpose; collector, decider and fold all ask it.

A word on a purpose is a grant or a refusal with the time it was folded. The later word holds, of two at once the
refusal; merges likewise. A refusal is never forgotten: beyond the bound it is kept as one word on all purposes that
nobody else named.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from personalization.bounded import HASH_BYTES, short_hash
from personalization.features import MAX_CATEGORY_CHARS

PERSONALISING = "personalization"
"""The purpose without which nothing is logged or profiled under a visitor's key."""

ALL = "*"
"""Stands for every purpose but those named at the same time, or later: only ever refused."""

OTHERS = "**"
"""Refusals there was no room for: of every purpose without a word of its own, but for ``PERSONALISING``.

That always has a place: who says nothing of it, and no to forty vendors, has not refused it.
"""

MAX_PURPOSES = 32
"""Those that the catalog names have a place besides."""

GPC = ("sale_sharing", "advertising")
"""What ``Sec-GPC: 1`` refuses, unless a source says otherwise."""

_WIDE = (ALL, OTHERS)

_GAPS = re.compile(r"[\s._-]+")


def normal(purpose: str) -> str:
    """The one form in which names of purposes are compared; a long one ends in a hash, so that it stays its own.

    >>> normal(" Sale-Sharing"), normal("sale_sharing"), normal("Sale sharing")
    ('sale_sharing', 'sale_sharing', 'sale_sharing')
    >>> normal("vendor " * 20 + "a") == normal("vendor " * 20 + "b"), len(normal("vendor " * 20))
    (False, 64)
    """
    name = _GAPS.sub("_", unicodedata.normalize("NFKC", purpose).strip().casefold())
    if len(name) <= MAX_CATEGORY_CHARS:
        return name
    return name[: MAX_CATEGORY_CHARS - 2 * HASH_BYTES] + short_hash(name).hex()


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What a visitor said about a purpose, when it was folded, and whether by a verified sender."""

    granted: bool
    at_ms: int
    verified: bool = False


Words = dict[str, Word]


def later(ours: Word | None, theirs: Word) -> Word:
    """Which of two words holds: the later one, of two at once the refusal.

    >>> later(Word(True, 5), Word(False, 5)).granted, later(Word(False, 4), Word(True, 5)).granted
    (False, True)
    """
    if ours is None or theirs.at_ms > ours.at_ms:
        return theirs
    if theirs.at_ms == ours.at_ms and not theirs.granted:
        return theirs
    return ours


def add(words: Words, purpose: str, word: Word, named: Collection[str] = ()) -> None:
    """Take a word into ``words``.

    Parameters
    ----------
    named
        The purposes that the catalog names: they always have a place.
    """
    purpose = normal(purpose)
    if not purpose or (purpose in _WIDE and word.granted):
        return
    if purpose not in named and OTHERS in words and _may_undo(words[OTHERS], word):
        return
    held = words.get(purpose)
    if held is not None or purpose in _WIDE:
        words[purpose] = later(held, word)
        if purpose == OTHERS:
            for name in [name for name in words if name not in named and _may_undo(word, words[name])]:
                del words[name]
        return
    others = [name for name in words if name not in named and name not in _WIDE]
    if purpose in named or len(others) < MAX_PURPOSES:
        words[purpose] = word
        return
    oldest_grant = min((name for name in others if words[name].granted), key=lambda n: words[n].at_ms, default=None)
    if oldest_grant is not None:
        # To have said nothing and to have granted are the same wherever nobody asks for that purpose.
        del words[oldest_grant]
        words[purpose] = word
    elif not word.granted:
        words[OTHERS] = later(words.get(OTHERS), word)


def _may_undo(others: Word, grant: Word) -> bool:
    """Whether the refusals there was no room for may hold a later one, or one at once, of what was granted here."""
    return grant.granted and grant.at_ms <= others.at_ms


def merge(into: Words, other: Mapping[str, Word], named: Collection[str] = ()) -> None:
    """Take another visitor's words into ``into``: later wins, of two at once the refusal."""
    for purpose, word in other.items():
        add(into, purpose, word, named)


def recorded(words: Mapping[str, Word], purpose: str) -> Word | None:
    """The word that holds for a purpose; None: nothing was ever said."""
    word = words.get(purpose)
    everything = words.get(ALL)
    if everything is not None and (word is None or everything.at_ms > word.at_ms):
        return everything
    if word is None and purpose != PERSONALISING:
        return words.get(OTHERS)
    return word


def may(words: Mapping[str, Word], purpose: str, *, default: bool) -> bool:
    """Whether what is recorded lets something be done for ``purpose``; ``default`` where nothing was said.

    >>> may({"ads": Word(False, 1)}, "ads", default=True), may({}, "ads", default=True)
    (False, True)
    """
    word = recorded(words, purpose)
    return default if word is None else word.granted


def spoken(words: Mapping[str, bool], purpose: str) -> bool | None:
    """What an event or a request says of a purpose; None: nothing.

    >>> spoken({"*": False, "ads": True}, "ads"), spoken({"*": False}, "ads"), spoken({"ads": True}, "email")
    (True, False, None)
    """
    word = words.get(purpose)
    return False if word is None and words.get(ALL) is False else word


def said(context: Mapping[str, Any]) -> dict[str, bool]:
    """The words a context carries, by purpose (``context.consent``, Segment's preferences included).

    >>> said({"consent": {"Personalization": False, "categoryPreferences": {"ads": True}, "n": 3}})
    {'personalization': False, 'ads': True}
    """
    given = context.get("consent")
    if not isinstance(given, Mapping):
        return {}
    preferences = given.get("categoryPreferences")
    found: dict[str, bool] = {}
    for part in (given, preferences if isinstance(preferences, Mapping) else {}):
        for name, value in part.items():
            if isinstance(value, bool) and isinstance(name, str):
                purpose = normal(name)
                found[purpose] = value and found.get(purpose, True)  # said twice, the refusal holds
    return found
