"""The errors of nextbest: one small tree.

NextbestError
├── InvalidInput        what somebody sent or wrote is wrong; names the field and the remedy
├── Unavailable         a part we depend on does not answer now; trying again may help
│   ├── LogFull         the log would have to drop unread events to take this one
│   ├── ShutOut         a server does not let us in, or we do not trust it; a person must act
│   └── StorageFull     the server that keeps the log has no disk or memory left
├── MissingCatalog      a fold needs the catalog that an open decision was made under
├── EpochClosed         the log an append was made for is over; who starts again goes on in the next one
└── Refused             going on would corrupt state; a person must act, and the message says how
"""

from __future__ import annotations

from typing import ClassVar


class NextbestError(Exception):
    """Root of every error nextbest raises on purpose."""


class InvalidInput(NextbestError):
    """Something a caller sent is wrong.

    Parameters
    ----------
    field
        Where: a dotted path as the caller wrote it, e.g. ``events[2].timestamp``.
    message
        What is wrong and what to send instead.
    code
        A stable word for programs, e.g. ``invalid_field``.
    """

    def __init__(self, field: str, message: str, code: str = "invalid_field") -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.code = code


class Unavailable(NextbestError):
    """A part nextbest depends on does not answer; the same call may succeed later."""

    public: ClassVar[bool] = False
    """Whether a caller of the API may read the message: it then names no address, key or setting."""


class LogFull(Unavailable):
    """The log holds as much as it may and nothing of it has been folded yet."""

    public = True


class ShutOut(Unavailable):
    """A server does not let us in (password), or we do not trust it (certificate): the message says which setting.

    A role refuses to start with it. One that is at work waits, as for a server that is away: it may have been given
    a wrong certificate for a moment.
    """


class StorageFull(Unavailable):
    """The server that keeps the log has no disk or memory left: nothing is taken until somebody makes room."""

    public = True


class MissingCatalog(NextbestError):
    """A fold needs another version of the catalog than the entry's: whoever folds fetches it and folds again."""

    def __init__(self, version: int) -> None:
        super().__init__(f"catalog version {version}")
        self.version = version


class EpochClosed(NextbestError):
    """An append was made for a log that is no longer the one in force: another epoch was opened, or it was lost.

    Waiting does not help. A worker, whose emissions belong to the log it folds, ends and starts again.
    """


class Refused(NextbestError):
    """Going on would corrupt state: a person has to act, and the message names the command."""
