"""The wait for a first catalog: without one there is nothing to fold or learn by."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from background.cancelling import pause

logger = logging.getLogger(__name__)

CATALOG_POLL_S = 0.25

CATALOG_LATE_S = 30.0
"""``nextbest up`` and the demo publish theirs within seconds of a worker's start; of whoever waits longer, nobody
may have thought."""


async def until_published(
    is_published: Callable[[], bool], pause: Callable[[float], Awaitable[None]] = pause
) -> None:
    """Wait until ``is_published`` says so.

    That it waits is said once, as a thing to be expected; and as a warning each time that ``CATALOG_LATE_S`` have
    gone by.

    Parameters
    ----------
    pause
        Waits so many seconds.
    """
    n_pauses, pauses_to_late = 0, round(CATALOG_LATE_S / CATALOG_POLL_S)
    while not is_published():
        if not n_pauses:
            logger.info("waiting_for_catalog")
        elif n_pauses % pauses_to_late == 0:
            logger.warning("waiting_for_catalog", extra={"waited_s": round(n_pauses * CATALOG_POLL_S)})
        await pause(CATALOG_POLL_S)
        n_pauses += 1
