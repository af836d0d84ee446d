"""The consents that hold for one request: what it says, what is recorded of the visitor, what a receipt says.

A refusal in the request always holds. Else the later word holds of what is recorded and what a receipt says; what
the request grants by itself counts only for a visitor who has said nothing yet. Where the state cannot be read,
what the request or the default of its source grants lets a model see the context of the request, for nobody; what a
receipt grants may be logged.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, TypeAlias

from personalization.deciding.request import DecideRequest
from personalization.events.decision_record import Agreed
from personalization.visitor.purposes import Word, Words, recorded, said, spoken
from personalization.visitor.visitor_state import VisitorState

By: TypeAlias = Literal["recorded", "receipt", "request", "browser", "default"]
"""Where a word on a purpose stands: kept of the visitor, in the receipt or the words of the request, in what its
browser refuses, or nowhere, so that the source's ``consent_default`` holds."""


class ConsentWord(NamedTuple):
    """The word on a purpose that holds for a request; ``at_ms`` is None where nobody ever said one."""

    purpose: str
    granted: bool
    by: By
    at_ms: int | None = None
    verified: bool = False
    receipt: str = ""


_NOTHING_SAID: dict[str, Agreed] = {}


class Consents:
    """The consents that hold for one request.

    Parameters
    ----------
    state
        With what was said lately and by a receipt; None where it could not be read.
    """

    __slots__ = ("_by_browser", "_default", "_receipt", "_recorded", "_said", "_trusted")

    def __init__(self, request: DecideRequest, state: VisitorState | None) -> None:
        self._recorded = request.heard if state is None else state.consents
        self._default = request.consent_default
        self._receipt = request.receipt
        self._trusted = request.proven or not request.by_page
        self._said: dict[str, bool] = said(request.context) if "consent" in request.context else {}
        self._by_browser: frozenset[str] = frozenset()
        if request.refused:
            self._by_browser = frozenset(p for p in request.refused if self._said.get(p) is not False)
            self._said = {**self._said, **dict.fromkeys(request.refused, False)}

    def granted(self, purpose: str) -> bool:
        """Whether the visitor agreed to ``purpose``, which is in its normal form."""
        word = spoken(self._said, purpose) if self._said else None
        if word is False:
            return False
        held = recorded(self._recorded, purpose)
        if held is None:
            return True if word else self._default
        return held.granted

    def word(self, purpose: str, now_ms: int) -> ConsentWord:
        """By which word ``granted`` answers; it says the same."""
        said_now = spoken(self._said, purpose) if self._said else None
        held = recorded(self._recorded, purpose)
        if said_now is False or (said_now and held is None):
            by: By = "browser" if said_now is False and purpose in self._by_browser else "request"
            return ConsentWord(purpose, said_now, by, now_ms, self._trusted)
        if held is None:
            return ConsentWord(purpose, self._default, "default")
        receipt = self._named_by(purpose, held)
        by = "receipt" if receipt else "recorded"
        return ConsentWord(purpose, held.granted, by, held.at_ms, held.verified, receipt)

    def signed(self, purposes: tuple[str, ...]) -> bool:
        """Whether the request brings a receipt that grants each of ``purposes``."""
        return self._receipt is not None and self._receipt.grants(purposes)

    def agreed(self, purposes: tuple[str, ...], now_ms: int) -> dict[str, Agreed]:
        """By which words ``purposes``, all of which are granted, are so; those by the source's default left out."""
        if not self._recorded and not self._said:
            return _NOTHING_SAID
        found = {}
        for purpose in purposes:
            word = recorded(self._recorded, purpose)
            if word is not None:
                found[purpose] = Agreed(word.at_ms, word.verified, self._named_by(purpose, word))
            elif spoken(self._said, purpose):
                found[purpose] = Agreed(now_ms, self._trusted)
        return found

    def _named_by(self, purpose: str, word: Word) -> str:
        """The receipt that the request brings for ``word``; empty: it says another, or nothing."""
        receipt = self._receipt
        says_it = receipt is not None and receipt.at_ms == word.at_ms and receipt.purposes.get(purpose) is True
        return receipt.record_id if receipt is not None and says_it else ""

    def news(
        self, held: Sequence[Words], named: Collection[str], states: Sequence[VisitorState] | None
    ) -> dict[str, bool]:
        """What of the request is to be recorded, since by what is recorded something else would be done.

        A refusal of what is granted so far, and a first grant where nothing is granted by default. What a browser
        refuses by itself is recorded of a known visitor alone, and a grant where the state could be read. What a
        receipt says was recorded before it was made.

        Parameters
        ----------
        held
            The words under each key of the visitor, with what was said lately; empty: none.
        named
            The purposes that the catalog names: nobody asks for a grant of another.
        """
        found = {}
        for purpose, granted in self._said.items():
            words = [recorded(each, purpose) for each in held] or [None]
            if granted:
                first = all(word is None or word.granted for word in words) and not all(words)
                if states is not None and purpose in named and first and not self._default:
                    found[purpose] = True
            elif (states or purpose not in self._by_browser) and any(
                self._default if word is None else word.granted for word in words
            ):
                found[purpose] = False
        return found

    def refused(self, purpose: str) -> bool:
        """Whether the request itself refuses ``purpose``."""
        return spoken(self._said, purpose) is False

    def missing(self, purposes: tuple[str, ...]) -> str | None:
        """The first of ``purposes`` not agreed to, None where all are."""
        for purpose in purposes:
            if not self.granted(purpose):
                return purpose
        return None
