"""The log's topics, created as soon as the log answers."""

from __future__ import annotations

import logging

from api.process.outages import in_public_words
from background.cancelling import pause
from eventlog.kafka import KafkaLog
from eventlog.opening import default_partitions
from eventlog.redis_streams import RedisStreamsLog
from personalization.errors import NextbestError

logger = logging.getLogger(__name__)

RETRY_S = 0.5


class LogCreation:
    """Creates what is missing, once.

    Parameters
    ----------
    n_partitions
        Of a new log; 0: as many as suit its server.

    Attributes
    ----------
    waits_for
        Why it is not there yet, for everybody to read; None: it is, or was not asked yet.
    """

    def __init__(self, log: RedisStreamsLog | KafkaLog, n_partitions: int) -> None:
        self._log = log
        self._n_partitions = n_partitions
        self.waits_for: str | None = None

    async def run(self) -> None:
        """Create the topics unless they are there; returns once they are."""
        while True:
            try:
                await self._log.create(self._n_partitions or default_partitions(self._log))
            except NextbestError as error:
                words = in_public_words(error)
                if words != self.waits_for:
                    logger.warning("log_not_created", extra={"reason": str(error)})
                self.waits_for = words
                await pause(RETRY_S)
            else:
                self.waits_for = None
                return
