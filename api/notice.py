"""What a caller is told of what was taken, but not as it was sent: the ``warnings`` of an answer."""

from __future__ import annotations

from typing import Any, NamedTuple


class Notice(NamedTuple):
    """One warning: which field, what kind, and a sentence."""

    field: str
    code: str
    message: str

    def shown(self, index: int | None = None) -> dict[str, Any]:
        """The notice as an answer shows it; ``index`` is that of the event it is about."""
        where: dict[str, Any] = {} if index is None else {"index": index}
        return {**where, "field": self.field.lstrip("."), "code": self.code, "message": self.message}
