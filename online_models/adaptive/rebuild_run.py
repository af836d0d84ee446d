"""A rebuild under way: advanced by counted microseconds beside the learning, repeated after a crash."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from online_models.adaptive.rebuild import Built, rebuild
from online_models.adaptive.rebuild_plan import Plan
from online_models.adaptive.row_buffer import RowBuffer
from online_models.reward_model import Float32Array


class RebuildRun:
    """One rebuild.

    Parameters
    ----------
    plan
        What it begins with.
    buffer, arms, about, noise
        See ``rebuild``; they go on being filled while it runs.
    """

    def __init__(
        self,
        plan: Plan,
        buffer: RowBuffer,
        arms: Sequence[str],
        about: Callable[[str], Mapping[str, Any] | None],
        noise: Callable[[int], Float32Array],
    ) -> None:
        self.plan = plan
        self._credit_us = 0.0
        self._steps: Generator[float, int, Built] = rebuild(plan, buffer, arms, about, noise)
        next(self._steps)

    def advance(self, credit_us: float, n_rows: int) -> Built | None:
        """Work for so long, there being ``n_rows`` rows; what was built, once it is done."""
        self._credit_us += credit_us
        try:
            while self._credit_us > 0.0:
                self._credit_us -= self._steps.send(n_rows)
        except StopIteration as done:
            built: Built = done.value
            return built
        return None

    def finish(self, n_rows: int) -> Built:
        """Work until it is done."""
        built = self.advance(math.inf, n_rows)
        assert built is not None
        return built

    def repeat(self, credit_us: Callable[[int], float], n_rows: int) -> None:
        """Take the steps again that were taken until there were ``n_rows`` rows."""
        for n in range(self.plan.last, n_rows + 1):
            self.advance(credit_us(n), n)
