"""What a caller is told of what was taken, but not as it was sent: the ``warnings`` of an answer."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was taken, but not as it was sent.

    Attributes
    ----------
    index
        Of the thing among several.
    """

    index: int | UnsetType = UNSET
    field: str
    code: str
    message: str


class Notice(NamedTuple):
    """One warning: which field, what kind, and a sentence."""

    field: str
    code: str
    message: str

    def shown(self, index: int | None = None) -> Warned:
        """The notice as an answer shows it; ``index`` is that of the event it is about."""
        at = UNSET if index is None else index
        return Warned(index=at, field=self.field.lstrip("."), code=self.code, message=self.message)
