"""The supervisor: starts children in order, keeps them running, stops them in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from background.supervisor import TaskSupervisor
from cli.child import HUNG_STOP_WITHIN_S, Child, ChildSpec, ending
from cli.lifeline import Lifeline
from personalization.errors import Unavailable

FIRST_DELAY_S = 0.2
LAST_DELAY_S = 10.0
HEALTHY_S = 30.0
"""A child that lived this long had a good start: its next restart is immediate again."""


class ChildFailed(Unavailable):
    """A child that never became ready."""

    def __init__(self, name: str, reason: str, log: Path, last_line: str) -> None:
        hint = f": {last_line}" if last_line else ""
        super().__init__(f"{name} {reason}{hint} (its log: {log})")


def _unheard(_: str) -> None:
    """For who does not want to know."""


class _Kept:
    def __init__(self, spec: ChildSpec, level: int) -> None:
        self.spec = spec
        self.level = level
        self.child: Child | None = None
        self.ready = asyncio.Event()
        self.spawned_s = asyncio.get_running_loop().time()
        self.restarts = 0


class Supervisor:
    """Children under one roof.

    Parameters
    ----------
    logs
        Folder of their log files.
    say
        Takes a line for people: what died, what hangs, what was restarted, warnings of the children. Where it
        fails (a terminal that is gone, a disk that is full) the line is lost, and nothing else.
    inherit
        File descriptors that every child keeps: the lock of what they work on, free once all of them are gone.
    """

    def __init__(self, logs: Path, say: Callable[[str], None], inherit: tuple[int, ...] = ()) -> None:
        self._logs = logs
        self._tell = say
        self._inherit = inherit
        self._lifeline = Lifeline()
        self._kept: list[_Kept] = []
        self._level = 0
        self._keepers = TaskSupervisor(lambda name: self._say(f"{name} was not watched for a moment; it is again"))

    def pids(self) -> dict[str, int]:
        """Process ids of the children that run, by name."""
        return {kept.spec.name: kept.child.pid for kept in self._kept if kept.child is not None}

    def restarts(self) -> dict[str, int]:
        """How often each child had to be started again."""
        return {kept.spec.name: kept.restarts for kept in self._kept}

    async def start(self, *specs: ChildSpec) -> None:
        """Start children side by side, wait until all are ready, and keep them running from then on.

        Raises
        ------
        ChildFailed
            For the first that ends, or takes too long, before it is ready.
        """
        await self.until_ready(await self.spawn(*specs))

    async def spawn(self, *specs: ChildSpec) -> tuple[str, ...]:
        """Start children side by side, and wait for none of them: ``until_ready`` does; gives their names.

        They stop together, before everything that was started earlier.
        """
        self._level += 1
        for spec in specs:
            spec = replace(
                spec,
                environment={**spec.environment, **self._lifeline.environment()},
                inherit=(*spec.inherit, *self._inherit),
            )
            kept = _Kept(spec, self._level)
            self._kept.append(kept)
            kept.child = await self._child(spec)
        return tuple(spec.name for spec in specs)

    async def until_ready(self, names: Sequence[str], progress: Callable[[str], None] = _unheard) -> None:
        """Wait until all of these are ready, and keep them running from then on.

        Parameters
        ----------
        progress
            Takes a line for people whenever one has become ready: which, when, and who is waited for.

        Raises
        ------
        ChildFailed
            For the first that ends, or takes too long, before it is ready.
        """
        missing = list(names)

        async def one(kept: _Kept) -> None:
            await self._until_ready(kept)
            missing.remove(kept.spec.name)
            rest = f"; waiting for {', '.join(missing)}" if missing else ""
            took_s = asyncio.get_running_loop().time() - kept.spawned_s
            progress(f"{kept.spec.name} is ready ({took_s:.1f} s){rest}")

        waiting = [asyncio.ensure_future(one(kept)) for kept in self._kept if kept.spec.name in names]
        try:
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _until_ready(self, kept: _Kept) -> None:
        child, spec = kept.child, kept.spec
        assert child is not None
        if not await child.wait_ready():
            reason = f"was not ready within {spec.ready_within_s:g} s"
            if not child.running:
                reason = f"{ending(await child.wait())} before it was ready"
            last_line = next((line for line in reversed(child.last_lines) if line.strip()), "")
            raise ChildFailed(spec.name, reason, self._logs / f"{spec.name}.log", last_line)
        kept.ready.set()
        self._keepers.keep(spec.name, lambda: self._keep(kept))

    async def _keep(self, kept: _Kept) -> None:
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY_S
        name = kept.spec.name
        while True:
            started = loop.time()
            assert kept.child is not None
            how = await self._ended(kept.child)
            kept.ready.clear()
            if loop.time() - started > HEALTHY_S:
                delay = FIRST_DELAY_S
            if how is not None:
                self._say(f"{name} {how}; starting it again in {delay:.1f} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY_S)
            kept.restarts += 1
            while True:
                try:
                    kept.child = await self._child(kept.spec)
                    break
                except OSError as error:  # no memory, no file descriptors: for a while, perhaps
                    self._say(f"{name} cannot be started ({error}); trying again in {LAST_DELAY_S:g} s")
                    await asyncio.sleep(LAST_DELAY_S)
            if await kept.child.wait_ready():
                kept.ready.set()
                self._say(f"{name} is back (process {kept.child.pid})")
            elif kept.child.running:
                self._say(f"{name} was not ready within {kept.spec.ready_within_s:g} s; starting it once more")
                await self._end_hung(kept.child)

    async def _ended(self, child: Child) -> str | None:
        """Wait until a child has ended; how, unless it was said already: one that hangs is ended here."""
        ended, hung = asyncio.ensure_future(child.wait()), asyncio.ensure_future(child.wait_hung())
        try:
            await asyncio.wait({ended, hung}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ending(ended.result())
            spec = child.spec
            hung.result()
            self._say(f"{spec.name} has not answered for {spec.hangs_after_s:g} s; starting it again")
            await self._end_hung(child)
            await ended
            return None
        finally:
            ended.cancel()
            hung.cancel()
            await asyncio.gather(ended, hung, return_exceptions=True)

    async def _end_hung(self, child: Child) -> None:
        # A Redis that only seemed to hang needs its time to write its file out. Killing it after that loses nothing
        # it acknowledged, which is with the kernel; leaving it would keep everything else waiting for ever.
        await child.end(child.spec.stop_within_s if child.spec.patient else HUNG_STOP_WITHIN_S)

    async def _child(self, spec: ChildSpec) -> Child:
        return await Child.start(spec, self._logs, self._lifeline.read_fd, self._say)

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._tell(line)

    async def stop(self) -> None:
        """Stop all, in the reverse order of their start; nothing of them runs afterwards."""
        await self._keepers.stop()
        for level in range(self._level, 0, -1):
            children = [kept.child for kept in self._kept if kept.level == level and kept.child is not None]
            await asyncio.gather(*(child.stop() for child in children))
        self._lifeline.close()
