"""The consents that hold for one request: what it says, what is recorded of the visitor, what was signed.

A refusal in the request always holds. Else the later word holds of what is recorded and what was signed; an
unsigned grant counts only for a visitor who has said nothing yet. Where the state cannot be read, what the request
or the source's default grants lets a model see the request's own context, for nobody; a signed grant lets it be
logged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from personalization.audience.consent import is_signed
from personalization.deciding.request import DecideRequest
from personalization.visitor.purposes import Word, Words, recorded, said, spoken
from personalization.visitor.visitor_state import VisitorState


class Consents:
    """The consents that hold for one request.

    Parameters
    ----------
    state
        None where it could not be read.
    """

    __slots__ = ("_by_browser", "_default", "_recorded", "_said", "_signed_ms")

    def __init__(
        self,
        secret: bytes,
        request: DecideRequest,
        state: VisitorState | None,
        now_ms: int,
    ) -> None:
        self._recorded = request.said_lately if state is None else state.consents
        self._default = request.consent_default
        self._said: dict[str, bool] = {}
        self._signed_ms: int | None = None
        given = request.context.get("consent")
        if given is not None:
            self._said = said(request.context)
            if isinstance(given, Mapping) and is_signed(secret, request.keys(), given, now_ms):
                self._signed_ms = int(given.get("atMs", 0))
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
        if word and self._signed_ms is not None and self._signed_ms > held.at_ms:
            return True
        return held.granted

    @property
    def signed(self) -> bool:
        """Whether the request carries consents that we have signed."""
        return self._signed_ms is not None

    def news(
        self, held: Sequence[Words], named: Collection[str], states: Sequence[VisitorState] | None
    ) -> dict[str, bool]:
        """What of the request is to be recorded, since by what is recorded something else would be done.

        A refusal of what is granted so far; a first grant where nothing is granted by default; and one that was
        signed after it was refused. What a browser refuses by itself is recorded of a known visitor alone, and a
        grant where the state could be read.

        Parameters
        ----------
        held
            The words under each key of the visitor, ``said_lately`` included; empty: none.
        named
            The purposes that the catalog names: nobody asks for a grant of another.
        """
        found = {}
        for purpose, granted in self._said.items():
            words = [recorded(each, purpose) for each in held] or [None]
            if granted:
                if states is not None and purpose in named and self._is_news(words):
                    found[purpose] = True
            elif (states or purpose not in self._by_browser) and any(
                self._default if word is None else word.granted for word in words
            ):
                found[purpose] = False
        return found

    def _is_news(self, words: Sequence[Word | None]) -> bool:
        """Whether a grant changes what holds by these words."""
        refused_ms = max((word.at_ms for word in words if word is not None and not word.granted), default=None)
        if refused_ms is not None:
            return self._signed_ms is not None and self._signed_ms > refused_ms
        return not self._default and not all(words)

    def refused(self, purpose: str) -> bool:
        """Whether the request itself refuses ``purpose``."""
        return spoken(self._said, purpose) is False

    def missing(self, purposes: tuple[str, ...]) -> str | None:
        """The first of ``purposes`` not agreed to, None where all are."""
        for purpose in purposes:
            if not self.granted(purpose):
                return purpose
        return None
