"""What a part of the fold is: something kept of a visitor beside their profile, with time-outs of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.event import ClientEvent, Merged
from personalization.folding.context import FoldContext
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor_state import Session


class Part(Protocol):
    """One part. It keeps nothing itself: what it causes it adds to the context's emissions and notes."""

    def observe(self, fold: FoldContext, event: ClientEvent, *, first: bool) -> None:
        """A client event was applied to the profile; ``first`` of its session, or not."""
        ...

    def time_out(self, fold: FoldContext) -> None:
        """Whatever was due by now is over."""
        ...

    def take_over(self, fold: FoldContext, merged: Merged, ours: Session) -> None:
        """Another key turned out to be this visitor: take what the part kept there.

        Parameters
        ----------
        ours
            The session here before the profiles were merged; the other is in ``merged``.
        """
        ...

    def withdraw(self, fold: FoldContext, allowed: Callable[[str], bool]) -> None:
        """The visitor refused something: end what is not ``allowed`` any more."""
        ...

    def is_behind(self, folder: FolderState, catalog: CompiledCatalog) -> bool:
        """Whether a time-out would find something to tell because the catalog changed, whatever is due."""
        ...

    def due_ms(self, folder: FolderState) -> float:
        """When the part next needs a time-out; infinity for never."""
        ...
