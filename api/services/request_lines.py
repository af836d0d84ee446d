"""Which requests have a line in the log: none, all or a share of them, as somebody says while they come in."""

from __future__ import annotations

import logging
import random

logger = logging.getLogger(__name__)


class RequestLines:
    """Says whether a request has a line.

    Attributes
    ----------
    share
        Of the requests that have one, 0 to 1.
    """

    __slots__ = ("_before", "share")

    def __init__(self, share: float = 0.0) -> None:
        self.share = share
        self._before = share or 1.0

    def toggle(self) -> None:
        """Begin with lines, or end with them; those who begin without a share have all."""
        self.share, self._before = (0.0, self.share) if self.share else (self._before, self._before)
        logger.warning("request_lines", extra={"share": self.share})

    def wants_one(self) -> bool:
        """Whether the next request has a line."""
        return self.share >= 1 or random.random() < self.share
