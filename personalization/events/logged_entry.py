"""An entry of the visitor log as it is found again, with its place."""

from __future__ import annotations

from typing import NamedTuple

from personalization.events.entry import Entry


class LoggedEntry(NamedTuple):
    """An entry of the visitor log, and where it stands."""

    partition: int
    offset: int
    key: str
    entry: Entry
