"""One child process: how it is started, how it tells it is ready, its log, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cli.silence import ANSWER_WITHIN_S, ASK_EVERY_S, LATE_S, Silence

READY_POLL_S = 0.02
SLOW_POLL_S = 0.2
EAGER_S = 15.0
"""A start takes seconds: it is asked often for so long, and now and then from there on."""

TELL_AFTER_S = 5.0
"""A start that takes longer tells what it waits for, and again whenever that changes."""

HUNG_STOP_WITHIN_S = 5.0
"""For one that hangs: most such processes cannot hear that they are to stop."""

LINE_BYTES = 65_536
MAX_LOG_BYTES = 16_777_216
"""A log that would grow beyond this is set aside as ``NAME.log.1``: two files bound the disk used."""

Ready = Callable[[], Awaitable[bool]]
Words = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run.

    Attributes
    ----------
    ready
        Asked many times a second until it says yes.
    waits_for
        What it waits for while it is not ready, in its own words; empty if it does not say.
    alive
        Asked every two seconds from then on: whether it answers at all. None: it is not asked.
    ready_within_s, stop_within_s
        Limits: after the first the start has failed, after the second the process is killed.
    hangs_after_s
        A process that has not answered for so long hangs: it is ended and started again.
    patient
        Whether a process that answers, though it is not ready, is waited for without limit: a Redis that reads its
        file would only begin again.
    inherit
        File descriptors the child keeps, beside the lifeline.
    """

    name: str
    command: tuple[str, ...]
    ready: Ready
    environment: Mapping[str, str] = field(default_factory=dict)
    alive: Ready | None = None
    waits_for: Words | None = None
    inherit: tuple[int, ...] = ()
    ready_within_s: float = 60.0
    stop_within_s: float = 15.0
    hangs_after_s: float = 15.0
    patient: bool = False


# Ours read "… WARNING name …". redis-server marks by "#" what it wants seen, its every start and stop included.
_ALARMING = re.compile(
    r"^\S+ \S+ (WARNING|ERROR|CRITICAL) |^nextbest: |^\d+:\w .{20,30} # (?i:.*(error|fail|can't|corrupt))"
    r'|^{"time":"[^"]+","level":"(WARNING|ERROR|CRITICAL)"'
)
_ADVICE = " WARNING Memory overcommit"


def alarming(line: str) -> bool:
    """Whether a log line is a warning or worse.

    >>> alarming("2026-01-01 10:00:00,000 WARNING stream.folding.folder lease lost"), alarming("… INFO api ready")
    (True, False)
    >>> alarming('{"time":"2026-01-01T10:00:00.000Z","level":"WARNING","event":"lease_lost"}')
    True
    >>> alarming("7:M 01 Jan 2026 10:00:00.000 # Server initialized")
    False
    >>> alarming("7:M 01 Jan 2026 10:00:00.000 # Error writing to the AOF file: No space left on device")
    True
    """
    return _ALARMING.search(line) is not None and _ADVICE not in line


class Child:
    """A running child; made by ``Child.start``."""

    def __init__(self, spec: ChildSpec, process: asyncio.subprocess.Process, show: Callable[[str], None]) -> None:
        self.spec = spec
        self.pid = process.pid
        self.last_lines: deque[str] = deque(maxlen=20)
        self._process = process
        self._show = show
        self._pump: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, spec: ChildSpec, logs: Path, lifeline_fd: int, show: Callable[[str], None]) -> Child:
        """Start the process, its output going to ``logs/NAME.log``.

        In a session of its own: a Ctrl-C in the terminal reaches the supervisor alone, which stops the
        children in order.
        """
        # A pipe of our own, as asyncio's would make `wait` wait for grandchildren that hold it, too.
        output, output_write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                env={**os.environ, **spec.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(lifeline_fd, *spec.inherit),
                start_new_session=True,
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(output_write)
        child = cls(spec, process, show)
        child._pump = asyncio.create_task(child._copy_output(output, logs / f"{spec.name}.log"))
        return child

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit code, once it has ended and its output is written; negative: the signal that ended it."""
        code = await self._process.wait()
        if self._pump is not None:
            # A grandchild may keep the pipe open; our copy of the log then ends here.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pump, 1.0)
        return code

    async def wait_ready(self) -> bool:
        """Whether it became ready, rather than ending or taking too long."""
        ended = asyncio.ensure_future(self._process.wait())
        loop = asyncio.get_running_loop()
        began = loop.time()
        until = began + self.spec.ready_within_s
        told = False
        words = ""
        try:
            while not ended.done():
                if await self.spec.ready():
                    return not ended.done()
                if loop.time() > until:
                    if not (self.spec.patient and self.spec.alive is not None and await self.spec.alive()):
                        return False
                    if not told:
                        self._show(f"{self.spec.name} answers, but is not ready yet; waiting for it")
                    told = True
                elapsed = loop.time() - began
                if self.spec.waits_for is not None and elapsed > TELL_AFTER_S:
                    before, words = words, await self.spec.waits_for() or words
                    if words != before:
                        self._show(f"{self.spec.name} is not ready yet: {words}")
                await asyncio.wait([ended], timeout=READY_POLL_S if elapsed < EAGER_S else SLOW_POLL_S)
            return False
        finally:
            ended.cancel()

    async def wait_hung(self) -> None:
        """Wait until it has not answered for too long; without a question to ask, for ever."""
        loop = asyncio.get_running_loop()
        every_s = min(ASK_EVERY_S, self.spec.hangs_after_s / 4)
        silence = Silence(loop.time(), every_s + ANSWER_WITHIN_S + LATE_S)
        while True:
            await asyncio.sleep(every_s)
            answered = self.spec.alive is None or await self.spec.alive()
            if silence.look(loop.time(), answered=answered) >= self.spec.hangs_after_s:
                return

    async def stop(self) -> None:
        """Ask it to stop, and kill it where it does not in time."""
        if not await self.end(self.spec.stop_within_s):
            self._show(f"{self.spec.name} did not stop within {self.spec.stop_within_s:g} s and was killed")

    async def end(self, within_s: float) -> bool:
        """End it: asked first, killed after ``within_s``; whether asking was enough."""
        # A stopped process takes no SIGTERM until it is told to go on.
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            self.kill()
            await self._process.wait()
            return False
        return True

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _copy_output(self, output: int, path: Path) -> None:
        stream = asyncio.StreamReader(limit=LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(output, "rb", buffering=0)
        )
        log = LogFile(path)
        try:
            while raw := await _line(stream):
                # Whatever becomes of the file: a pipe nobody reads would stop the child with its next line.
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                self.last_lines.append(line)
                if alarming(line):
                    self._show(f"{self.spec.name}: {line}")
        finally:
            log.close()
            transport.close()


class LogFile:
    """A child's log on disk, two files at most; while the disk takes nothing, lines are left out and counted.

    Parameters
    ----------
    max_bytes
        Of each of the two.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._n_bytes = 0
        self._n_left_out = 0

    def write(self, line: bytes) -> None:
        """Write a line, or count it."""
        try:
            self._make_room(len(line))
            if self._n_left_out:
                self._put(_left_out(self._n_left_out, as_json=line.startswith(b"{")))
                self._n_left_out = 0
            self._put(line)
        except OSError:
            self._n_left_out += 1

    def _put(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line)
        self._n_bytes += len(line)

    def _make_room(self, n_bytes: int) -> None:
        if self._file is None:
            self._open()
        if self._n_bytes and self._n_bytes + n_bytes > self._max_bytes:
            self.close()
            self._path.replace(self._path.with_suffix(".log.1"))
            self._open()

    def _open(self) -> None:
        self._file = self._path.open("ab", buffering=0)
        self._n_bytes = self._file.tell()

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def _left_out(n_lines: int, *, as_json: bool) -> bytes:
    if not as_json:
        return b"(%d lines were left out: the disk took none)\n" % n_lines
    return b'{"level":"WARNING","event":"lines_left_out","logger":"cli.child","n_lines":%d}\n' % n_lines


async def _line(stream: asyncio.StreamReader) -> bytes:
    while True:
        try:
            return await stream.readline()
        except ValueError:  # longer than any line of ours: asyncio has dropped it
            continue


def ending(code: int) -> str:
    """How a process ended, in words.

    >>> ending(1), ending(-9)
    ('ended with exit code 1', 'was ended by SIGKILL')
    """
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
