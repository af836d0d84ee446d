"""Tasks that must not end: started again when they do, counted, and named to whoever asks whether all is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from background.cancelling import pause, stop_if_cancelled

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
HEALTHY_S = 5.0
"""A task that has run this long since its last end counts as well again, and its next restart comes quickly."""

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended: the error, or None if it returned or was cancelled by what it called; and in words."""

    error: BaseException | None
    reason: str


@dataclass(slots=True)
class _Kept:
    task: asyncio.Task[None] | None = None
    ended: Ended | None = None
    ended_s: float = 0.0
    n_restarts: int = 0


class TaskSupervisor:
    """Keeps the background tasks of one process running until it stops.

    A task that raises is started again after a pause of 0.1 s, doubled at each further end, at most 10 s. So is
    one that returns, unless it was given as one that may, and one whose call was cancelled by somebody else.

    Parameters
    ----------
    on_end
        Called with a task's name each time it has ended and is to be started again.
    fatal
        Errors that no restart can mend: they end ``until_fatal``, and with it the process.

    Examples
    --------
    ``async with TaskSupervisor() as tasks: tasks.keep("spool", spool.run)``
    """

    def __init__(
        self, on_end: Callable[[str], None] = lambda name: None, fatal: tuple[type[BaseException], ...] = ()
    ) -> None:
        self._on_end = on_end
        self._fatal = fatal
        self._kept: dict[str, _Kept] = {}
        self._fatal_error: BaseException | None = None
        self._fatal_seen = asyncio.Event()

    def keep(self, name: str, work: Work, *, may_return: bool = False) -> None:
        """Run ``work()`` beside everything else, again and again.

        Parameters
        ----------
        name
            For logs, metrics and readiness; each task has its own.
        may_return
            Whether the work is over once it returns; else a return is an end like any other.
        """
        if name in self._kept:
            raise ValueError(f"there is a task {name!r} already")
        kept = self._kept[name] = _Kept()
        kept.task = asyncio.create_task(self._run(name, kept, work, may_return), name=name)

    def restarts(self) -> dict[str, int]:
        """How often each task had to be started again."""
        return {name: kept.n_restarts for name, kept in self._kept.items()}

    def not_ready(self) -> dict[str, str]:
        """The tasks that ended less than five seconds ago, or wait to be started again, and why they ended."""
        return {name: ended.reason for name, ended in self.ended().items()}

    def ended(self) -> dict[str, Ended]:
        """The tasks of ``not_ready``, with the errors themselves: what is shown to strangers says less."""
        now_s = asyncio.get_running_loop().time()
        return {
            name: kept.ended
            for name, kept in self._kept.items()
            if kept.ended is not None and now_s - kept.ended_s < HEALTHY_S
        }

    async def until_fatal(self) -> None:
        """Wait until a task ended by one of the ``fatal`` errors; raises that error."""
        await self._fatal_seen.wait()
        assert self._fatal_error is not None
        raise self._fatal_error

    async def stop(self, name: str | None = None) -> None:
        """End one task, or all of them, the newest first."""
        for each in [name] if name is not None else list(reversed(self._kept)):
            task = self._kept.pop(each).task
            while task is not None and not task.done():
                # More than once: a call that completes in the same tick may take the cancellation for its own.
                task.cancel()
                await asyncio.wait({task}, timeout=0.1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _run(self, name: str, kept: _Kept, work: Work, may_return: bool) -> None:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            started_s = loop.time()
            ended = Ended(None, "it returned")
            try:
                await work()
                if may_return:
                    return
            except self._fatal as error:
                self._fatal_error = error
                self._fatal_seen.set()
                return
            except asyncio.CancelledError:
                # Not always ours: what it waited for may have been cancelled by somebody else.
                stop_if_cancelled()
                ended = Ended(None, "what it waited for was cancelled")
            except Exception as error:
                ended = Ended(error, f"{type(error).__name__}: {error}")
            logger.error(
                "background_task_ended", exc_info=ended.error, extra={"task": name, "reason": ended.reason}
            )
            if loop.time() - started_s > HEALTHY_S:
                pause_s = FIRST_PAUSE_S
            kept.ended = ended
            kept.n_restarts += 1
            try:
                self._on_end(name)
            except Exception:  # whoever counts must not end what is counted
                logger.exception("task_listener_failed", extra={"task": name})
            until_s = loop.time() + pause_s
            while (left_s := until_s - loop.time()) > 0:
                kept.ended_s = loop.time()  # while it waits, it is not well
                await pause(min(left_s, HEALTHY_S / 2))
            kept.ended_s = loop.time()
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
