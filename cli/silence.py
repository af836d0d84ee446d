"""How long a child has been silent, by the time this process itself was awake."""

from __future__ import annotations

ASK_EVERY_S = 2.0
ANSWER_WITHIN_S = 5.0
"""A process too busy to say it is alive within so long, again and again, is as good as one that hangs."""

LATE_S = 3.0
"""A round that took this much longer than it may was held up on our side."""


class Silence:
    """Counts the seconds since a child last answered.

    A laptop whose lid was closed, a machine that was paused or has no memory left, wakes with every clock far ahead
    and nobody's fault: a round of questions that took longer than it may says that *we* were away, and nothing of
    the child, so the count begins anew.

    Parameters
    ----------
    now_s
        Of a monotonic clock.
    longest_round_s
        From one look to the next, at most, while all is well on our side.

    Examples
    --------
    >>> silence = Silence(now_s=0, longest_round_s=10)
    >>> silence.look(7, answered=False), silence.look(14, answered=False), silence.look(16, answered=True)
    (7.0, 14.0, 0.0)
    >>> silence.look(23, answered=False), silence.look(3_600, answered=False), silence.look(3_607, answered=False)
    (7.0, 0.0, 7.0)
    """

    def __init__(self, now_s: float, longest_round_s: float) -> None:
        self._looked_s = now_s
        self._longest_round_s = longest_round_s
        self._seconds = 0.0

    def look(self, now_s: float, *, answered: bool) -> float:
        """Note an answer, or that there was none; gives the seconds of silence so far."""
        round_s = now_s - self._looked_s
        self._looked_s = now_s
        if answered or round_s > self._longest_round_s:
            self._seconds = 0.0
        else:
            self._seconds += round_s
        return self._seconds
