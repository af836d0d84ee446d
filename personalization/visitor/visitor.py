"""All that is kept of one visitor."""

from __future__ import annotations

from dataclasses import dataclass

from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor_state import VisitorState


@dataclass(slots=True)
class Visitor:
    """What the decider reads, and what only the folder needs."""

    state: VisitorState
    folder: FolderState

    @classmethod
    def new(cls) -> Visitor:
        """A visitor never seen."""
        return cls(VisitorState(), FolderState())
