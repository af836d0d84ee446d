"""What a window, a cap or a score looks at of a visitor's past, made ready."""

from __future__ import annotations

from dataclasses import dataclass

from personalization.catalog.rules import Rule


@dataclass(frozen=True, slots=True)
class CompiledSeries:
    """What windows look at, ready.

    Attributes
    ----------
    event
        Its name in the catalog; empty: no event, but that a content was shown.
    path
        Of the amount in the event; empty: times alone.
    n_kept
        How many of the latest events are kept of a visitor.
    declared_ms
        Since when; what happened before is not known.
    within_ms
        After this nobody asks for it any more; None: it is kept.
    events
        The names under which it arrives.
    """

    key: bytes
    event: str
    where: Rule | None
    path: tuple[str, ...]
    n_kept: int
    declared_ms: int
    within_ms: int | None = None
    events: tuple[str, ...] = ()
