"""A circuit breaker: what failed several times in a row is not asked again for a while."""

from __future__ import annotations

from collections.abc import Callable


class CircuitBreaker:
    """Open after ``threshold`` failures in a row; after ``pause_s`` one probe may try again.

    Parameters
    ----------
    clock
        Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float], threshold: int = 3, pause_s: float = 0.25) -> None:
        self._clock = clock
        self._threshold = threshold
        self._pause_s = pause_s
        self._failures = 0
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are being refused."""
        return self._failures >= self._threshold

    def allows(self) -> bool:
        """Whether to try now; of an open breaker's callers one per pause is the probe."""
        if self._failures < self._threshold:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._pause_s
        return True

    def succeeded(self) -> None:
        """The call worked: closed."""
        self._failures = 0

    def failed(self) -> None:
        """The call failed."""
        self._failures += 1
        if self._failures >= self._threshold:
            self._retry_at = self._clock() + self._pause_s
