"""All that is kept of one visitor."""

from __future__ import annotations

from dataclasses import dataclass

from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor_state import VisitorState


@dataclass(slots=True)
class Visitor:
    """What the decider reads, and what only the folder needs.

    Attributes
    ----------
    is_known
        Whether anything is kept. If not, the fields hold where the log stood when the visitor was forgotten, if
        ever there was one.
    """

    state: VisitorState
    folder: FolderState
    is_known: bool = True

    @classmethod
    def new(cls) -> Visitor:
        """A visitor never seen."""
        return cls(VisitorState(), FolderState(), is_known=False)

    @classmethod
    def forgotten(cls, epoch: int, offset: int, erased_ms: int = 0) -> Visitor:
        """A visitor of whom nothing is kept but where the log stood; who comes back is new."""
        return cls(VisitorState(epoch, offset), FolderState(erased_ms=erased_ms), is_known=False)

    def forget(self, erased_ms: int = 0) -> None:
        """Keep nothing but where the log stands.

        Parameters
        ----------
        erased_ms
            What was received up to then is never applied again.
        """
        gone = Visitor.forgotten(self.state.epoch, self.state.offset, max(erased_ms, self.folder.erased_ms))
        self.state, self.folder, self.is_known = gone.state, gone.folder, False
