"""What does not answer, in words that any caller may read: no addresses, no names of machines, no foreign text."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from redis.exceptions import RedisError

from background.tls import tls_problem
from eventlog.redis_errors import REFUSALS, SETTINGS, is_passing, refusal
from personalization.errors import LogFull, StorageFull, Unavailable

SHORTLY = "send the same again shortly"
ROOM = "send the same again once there is room"

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_OURS_TO_MEND = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


class Spoken(Unavailable):
    """An outage whose own text is fit for everybody, and says it best."""

    public = True


class Outage(NamedTuple):
    """A failure as callers are told of it.

    Attributes
    ----------
    code
        A stable word for programs: ``storage_full``, ``log_full`` or ``unavailable``.
    words
        What is wrong.
    remedy
        What to do with the request.
    """

    code: str
    words: str
    remedy: str

    @property
    def message(self) -> str:
        """All of it as one sentence."""
        return f"{self.words}; {self.remedy}"


def outage_of(error: BaseException) -> Outage:
    """What an error of a part we depend on means.

    >>> from redis.exceptions import ResponseError
    >>> error = Unavailable("Redis does not answer: MISCONF Errors writing to the AOF file")
    >>> error.__cause__ = ResponseError("MISCONF Errors writing to the AOF file")
    >>> outage_of(error).message
    'the disk Redis writes to is full or cannot be written; send the same again once there is room'
    >>> outage_of(LogFull("4 partitions")).message
    'the log holds as much as it may, and not all of it was read yet; send the same again shortly'
    >>> outage_of(ConnectionRefusedError("10.0.0.7:6379")).message
    'Redis does not answer; send the same again shortly'
    """
    for each in _causes(error):
        if isinstance(each, StorageFull):
            return Outage("storage_full", str(each), ROOM)
        if isinstance(each, LogFull):
            return Outage("log_full", "the log holds as much as it may, and not all of it was read yet", SHORTLY)
        if isinstance(each, Unavailable) and each.public:
            return Outage("unavailable", str(each), SHORTLY)
        if isinstance(each, Unavailable) and str(each).startswith("Kafka"):
            return Outage("unavailable", "Kafka does not answer", SHORTLY)
        if isinstance(each, RedisError):
            refused = refusal(each)
            if refused in ("MISCONF", "OOM"):
                return Outage("storage_full", REFUSALS[refused], ROOM)
            if refused in _OURS_TO_MEND:
                return Outage("unavailable", "Redis does not let this process in", SHORTLY)
            if refused is not None:
                return Outage("unavailable", REFUSALS[refused], SHORTLY)
            if tls_problem(each, SETTINGS):
                return Outage("unavailable", "certificates do not fit between this process and Redis", SHORTLY)
            if is_passing(each):
                return Outage("unavailable", "Redis does not answer", SHORTLY)
        elif isinstance(each, OSError):
            if each.errno in _DISK_FULL:
                return Outage("storage_full", "the disk this process writes to is full or cannot be written", ROOM)
            return Outage("unavailable", "Redis does not answer", SHORTLY)
    if " wait to be " in str(error):
        return Outage("unavailable", "so much waits for the log already that no more is taken", SHORTLY)
    return Outage("unavailable", "a part needed for this does not answer", SHORTLY)


def in_public_words(error: BaseException) -> str:
    """Why something failed, for ``/readyz``, which anybody may read; the whole is in this process's log."""
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return os.strerror(error.errno)
    if isinstance(error, Unavailable | RedisError | OSError):
        return outage_of(error).words
    return f"{type(error).__name__}; this process's log has the whole"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 10:
        yield error
        error = error.__cause__
        seen += 1
