"""The log as endpoints use it: an append is acknowledged within a bound, or refused in words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from api.process.outages import Spoken, in_public_words
from api.services.ports import Log
from eventlog.port import LogPosition, Record
from personalization.errors import Refused, Unavailable

logger = logging.getLogger(__name__)

ACKNOWLEDGED_WITHIN_S = 0.75
"""A caller knows within a second what became of its events, whatever the log's own patience."""

LATELY_S = 10.0
"""A failure this long ago, with nothing appended since, says little of now."""


class BoundedLog:
    """``append`` within a bound.

    An append given up on may still happen: whoever sends the same again repeats its message ids.

    Parameters
    ----------
    log
        The log itself.
    within_s
        How long an acknowledgement may take.
    """

    def __init__(self, log: Log, within_s: float = ACKNOWLEDGED_WITHIN_S) -> None:
        self._log = log
        self._within_s = within_s
        self._error: BaseException | None = None
        self._failed_s = 0.0

    @property
    def error(self) -> BaseException | None:
        """Why the last append failed, lately; None: it was acknowledged, or nobody appends."""
        return self._error if time.monotonic() - self._failed_s < LATELY_S else None

    async def append(self, records: Sequence[Record]) -> list[LogPosition]:
        """Append, and wait for the acknowledgement.

        Raises
        ------
        Unavailable
            If it did not come within the bound, or the log says so.
        Refused
            If a person has to act first: this process's log says what.
        """
        try:
            async with asyncio.timeout(self._within_s):
                positions = await self._log.append(records)
        except TimeoutError as error:
            self._note(late := Spoken(f"the log did not acknowledge within {self._within_s:g} s"))
            raise late from error
        except (Unavailable, Refused) as error:
            self._note(error)
            raise
        if self._error is not None:
            logger.warning("log_takes_events_again")
            self._error = None
        return positions

    def _note(self, error: BaseException) -> None:
        if self._error is None or in_public_words(error) != in_public_words(self._error):
            logger.error("log_takes_no_events", extra={"reason": str(error)})
        self._error, self._failed_s = error, time.monotonic()
