"""Putting one model aside: it goes back to its last good copy, waits a growing pause, and is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from stream.learning.held_model import HeldModel, Stage, Trouble
from stream.learning.held_partition import HeldPartition
from stream.metrics import LearnerMetrics

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

MAX_RAISES = 4
"""A record at which a model raised, and raised again on three retries, is given up on."""


class SettingAside:
    """Puts models aside, and says so.

    Parameters
    ----------
    clock_s
        A clock that only goes forward; an argument for tests.
    """

    def __init__(self, metrics: LearnerMetrics, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock_s = clock_s

    def put(
        self, held: HeldPartition, model: HeldModel, stage: Stage, error: Exception, offset: int | None = None
    ) -> None:
        """Put a model aside that raised ``error``; ``offset`` is the record's, if it was learning one.

        What serves of it stays as it is.
        """
        held.unpublished.discard(model.key)
        held.waiting_since_ms.pop(model.key, None)
        last = model.trouble
        n_failures = last.n_failures + 1 if last is not None else 1
        if offset is not None:
            model.raises[offset] = model.raises.get(offset, 0) + 1
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(n_failures - 1, 30), LONGEST_PAUSE_S)
        cause = f"{type(error).__name__}: {error}"
        model.trouble = Trouble(stage, cause, n_failures, self._clock_s() + pause_s)
        model.go_back()
        self._metrics.set_aside.labels(model.key).set(1)
        self._metrics.model_failures.labels(model.key, stage).inc()
        logger.error(
            "model_set_aside",
            extra={
                "key": model.key,
                "stage": str(stage),
                "offset": offset,
                "position": model.position,
                "waiting": model.n_waiting(),
                "retry_in_s": pause_s,
                "reason": cause,
            },
        )
        if n_failures == 1:
            logger.error("model_raised", extra={"key": model.key}, exc_info=error)

    def is_due(self, model: HeldModel) -> bool:
        """Whether a model without a book is to be loaded now."""
        return model.book is None and (model.trouble is None or self._clock_s() >= model.trouble.retry_s)

    def try_now(self, model: HeldModel) -> None:
        """Something changed: do not wait for the end of the pause."""
        if model.trouble is not None:
            model.trouble.retry_s = self._clock_s()

    def saved(self, model: HeldModel) -> None:
        """A good copy holds what the model learned: what kept it from that is over."""
        trouble = model.trouble
        if trouble is not None and (
            trouble.stage is Stage.SAVE or (trouble.stage is Stage.LEARN and model.n_learned > 0)
        ):
            self._over(model)

    def loaded(self, model: HeldModel) -> None:
        """The book was loaded."""
        if model.trouble is not None and model.trouble.stage is Stage.LOAD:
            self._over(model)

    def published(self, model: HeldModel) -> None:
        """The model was published."""
        if model.trouble is not None and model.trouble.stage is Stage.PUBLISH:
            self._over(model)

    def _over(self, model: HeldModel) -> None:
        model.trouble = None
        self.show(model)

    def show(self, model: HeldModel) -> None:
        """Bring the gauge up to date."""
        self._metrics.set_aside.labels(model.key).set(int(model.is_aside))
