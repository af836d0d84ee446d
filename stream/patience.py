"""Trying again what a transient failure stopped, however long it takes, and counting how often."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar

from prometheus_client import Counter

from eventlog.redis_errors import in_words
from personalization.errors import NextbestError
from state.transient import until_done

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_P = ParamSpec("_P")


class Patience:
    """Awaits a call until it is done.

    Parameters
    ----------
    retries
        Counts failed attempts by part.
    waiting
        Holds, while a part is waited for, its name and the reason: for whoever asks whether all is well.
    """

    def __init__(self, retries: Counter, waiting: dict[str, str] | None = None) -> None:
        self._retries = retries
        self._waiting = {} if waiting is None else waiting

    async def __call__(
        self, part: str, attempt: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """``await attempt(…)``, again and again; ``part`` names for people what is waited for."""

        def failed(error: BaseException) -> None:
            self._retries.labels(part).inc()
            self._waiting[part] = str(error) if isinstance(error, NextbestError) else in_words(error)
            logger.warning("retrying", extra={"part": part, "reason": repr(error)})

        try:
            return await until_done(partial(attempt, *args, **kwargs), failed)
        finally:
            self._waiting.pop(part, None)
