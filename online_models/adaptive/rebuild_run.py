"""A rebuild under way: advanced by counted microseconds beside the learning, repeated after a crash."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Sequence

from online_models.adaptive.rebuild import Built, rebuild
from online_models.adaptive.rebuild_plan import Plan
from online_models.adaptive.row_buffer import RowBuffer
from online_models.reward_model import Float32Array

logger = logging.getLogger(__name__)


class RebuildRun:
    """One rebuild.

    One that fails ends nothing: what was learned before it stays, and the next one is due when it would have been.

    Parameters
    ----------
    plan
        What it begins with.
    buffer, arms, noise
        See ``rebuild``; they go on being filled while it runs.

    Attributes
    ----------
    failed
        Whether it raised.
    """

    def __init__(
        self,
        plan: Plan,
        buffer: RowBuffer,
        arms: Sequence[str],
        noise: Callable[[int], Float32Array],
    ) -> None:
        self.plan = plan
        self.failed = False
        self._credit_us = 0.0
        self._built: Built | None = None
        self._to_repeat: Callable[[], None] | None = None
        self._steps: Generator[float, int, Built] = rebuild(plan, buffer, arms, noise)
        next(self._steps)

    def advance(self, credit_us: float, n_rows: int) -> Built | None:
        """Work for so long, there being ``n_rows`` rows; what was built, once it is done."""
        if self._to_repeat is not None:
            repeat, self._to_repeat = self._to_repeat, None
            repeat()
        self._credit_us += credit_us
        try:
            while self._built is None and self._credit_us > 0.0:
                self._credit_us -= self._steps.send(n_rows)
        except StopIteration as done:
            self._built = done.value
        except Exception:
            # The regressions in force are whole, and learning goes on with them: a fit is an improvement only.
            logger.exception("rebuild_failed", extra={"first_row": self.plan.first, "last_row": self.plan.last})
            self.failed, self._built = True, Built(None, self.plan.in_force)
        return self._built

    def finish(self, n_rows: int) -> Built:
        """Work until it is done."""
        built = self.advance(math.inf, n_rows)
        assert built is not None
        return built

    def repeat(self, credit_us: Callable[[int], float], n_rows: int) -> None:
        """Take the steps again that were taken until there were ``n_rows`` rows.

        When it goes on, not now: it may take a second or two, and who only looks at a model need not wait.
        """

        def steps() -> None:
            for n in range(self.plan.last, n_rows + 1):
                self.advance(credit_us(n), n)

        self._to_repeat = steps
