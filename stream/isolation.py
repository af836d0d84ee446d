"""What keeps one entry from ending its worker for ever: after three deaths at one place entries are handled singly.

The process ends by whatever nobody thought of and begins again at the committed offset. Where three of its lives
ended before they got further, the entries there are handled one by one, each noted before it is touched; one that
ends its worker alone, twice, becomes a dead letter with its bytes, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec.structs import replace

from eventlog.dead_letters import DeadLetter, dead_letter_record
from eventlog.port import EventLog
from state.attempts import Attempt
from stream.patience import Patience
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)

DEATHS_TOGETHER = 3
"""Deaths at one place before entries are handled singly: fewer may be somebody's ``kill -9``."""

DEATHS_ALONE = 2
"""Deaths of a worker with one entry in hand before that entry is given up."""

MAX_IN_A_ROW = 3
"""Entries given up one after the other: if the next one kills too, the fault is not theirs, and they are kept."""

SETTLED_S = 30.0
"""A worker that has lived this long since it began has got past what killed the others."""

CODE = "ends_its_worker"
"""What dead letters of such entries are called."""


class Numbered(Protocol):
    """An entry of the log, and where it stood."""

    @property
    def partition(self) -> int:
        """The partition of the topic that it came from."""

    @property
    def offset(self) -> int:
        """Where it stands in the partition."""

    @property
    def key(self) -> bytes | None:
        """The bytes of its key, as they came."""

    @property
    def value(self) -> bytes | None:
        """The bytes of its value, as they came."""


MessageT = TypeVar("MessageT", bound=Numbered)


class Attempts(Protocol):
    """Where attempts are remembered (``state.attempts.AttemptStore``)."""

    async def get(self, partition: int) -> Attempt | None:
        """What is known of a partition."""

    async def put(self, partition: int, attempt: Attempt) -> None:
        """Remember."""

    async def forget(self, partition: int) -> None:
        """All is well with the partition."""


class Isolation(Generic[MessageT]):
    """Stands between a worker's agent and what handles its batches.

    A worker pays for it with one write per partition it begins to read.

    Parameters
    ----------
    process
        Handles a batch, of any number of partitions, in order.
    span
        Entries behind the beginning that are handled singly: more than a batch.
    on_given_up
        Told of each entry that has become a dead letter.
    """

    def __init__(
        self,
        process: Callable[[Sequence[MessageT]], Awaitable[None]],
        attempts: Attempts,
        log: EventLog,
        topic: str,
        epoch: int,
        patiently: Patience,
        span: int = 1_000,
        on_given_up: Callable[[MessageT], Awaitable[None]] | None = None,
    ) -> None:
        self._process = process
        self._attempts = attempts
        self._log = log
        self._topic = topic
        self._epoch = epoch
        self._patiently = patiently
        self._span = span
        self._on_given_up = on_given_up
        self._begun_s: dict[int, float] = {}
        self._settled: set[int] = set()
        self._singly: dict[int, Attempt] = {}

    async def process(self, messages: Sequence[MessageT]) -> None:
        """Handle a batch: together, but for what has to be handled singly."""
        await self._begin(messages)
        if not self._singly:
            await self._process(messages)
            return
        together = [message for message in messages if not self._is_single(message)]
        if together:
            await self._process(together)
        for message in messages:
            if self._is_single(message):
                await self._handle_alone(message)

    async def close(self) -> None:
        """The worker stops because it was told to: that is no death."""
        for partition in self._begun_s.keys() - self._settled - self._singly.keys():
            await self._attempts.forget(partition)

    # -- inside -----------------------------------------------------------------------------------------

    async def _begin(self, messages: Sequence[MessageT]) -> None:
        watched = {message.partition for message in messages} - self._settled
        if not watched:
            return
        now_s = asyncio.get_running_loop().time()
        for partition in sorted(watched):
            if partition not in self._begun_s:
                self._begun_s[partition] = now_s
                first = next(message.offset for message in messages if message.partition == partition)
                await self._begin_partition(partition, first)
            elif now_s - self._begun_s[partition] > SETTLED_S and partition not in self._singly:
                self._settled.add(partition)
                await self._patiently("attempts", self._attempts.forget, partition)

    async def _begin_partition(self, partition: int, offset: int) -> None:
        known = await self._patiently("attempts", self._attempts.get, partition)
        attempt = Attempt(self._epoch, offset)
        if known is not None and known.epoch == self._epoch and known.offset <= offset < known.ends:
            attempt = replace(known, n_starts=known.n_starts + 1)
        if attempt.n_starts > DEATHS_TOGETHER:
            attempt = replace(attempt, alone_to=max(attempt.alone_to, offset + self._span))
            self._singly[partition] = attempt
            logger.error(
                "entries_handled_singly",
                extra={"partition": partition, "offset": offset, "n_deaths": attempt.n_starts - 1},
            )
        await self._patiently("attempts", self._attempts.put, partition, attempt)

    def _is_single(self, message: MessageT) -> bool:
        attempt = self._singly.get(message.partition)
        return attempt is not None and message.offset < attempt.alone_to

    async def _handle_alone(self, message: MessageT) -> None:
        partition, offset = message.partition, message.offset
        attempt = self._singly[partition]
        if offset in attempt.given_up:
            return
        if offset == attempt.suspect and attempt.n_alone >= DEATHS_ALONE:
            if attempt.n_in_a_row < MAX_IN_A_ROW:
                await self._give_up(message, attempt)
                return
            logger.error(
                "every_entry_ends_the_worker",
                extra={"partition": partition, "offset": offset, "remedy": "mend what the next error names"},
            )
        if offset >= attempt.suspect:  # those before it were in hand alone and went well
            again = attempt.n_alone if offset == attempt.suspect else 0
            attempt = replace(attempt, suspect=offset, n_alone=again + 1)
            self._singly[partition] = attempt
            await self._patiently("attempts", self._attempts.put, partition, attempt)
        await self._process([message])
        if offset == attempt.suspect:
            # Noted too: the worker may yet die of another partition's entry, and this one is not to blame.
            attempt = self._singly[partition] = replace(attempt, n_alone=0, n_in_a_row=0)
            await self._patiently("attempts", self._attempts.put, partition, attempt)
        if offset + 1 >= attempt.alone_to:
            del self._singly[partition]
            logger.warning("entries_handled_together_again", extra={"partition": partition, "offset": offset})

    async def _give_up(self, message: MessageT, attempt: Attempt) -> None:
        partition, offset = message.partition, message.offset
        reason = f"the worker died {attempt.n_alone} times with this entry alone in hand"
        logger.error("entry_given_up", extra={"partition": partition, "offset": offset, "reason": reason})
        letter = DeadLetter(
            self._topic, partition, offset, message.key or b"", message.value or b"", CODE, reason, wall_clock_ms()
        )
        await self._patiently("log", self._log.append, [dead_letter_record(letter)])
        given_up = (*attempt.given_up, offset)
        attempt = replace(attempt, given_up=given_up, n_in_a_row=attempt.n_in_a_row + 1)
        if self._on_given_up is not None:
            await self._on_given_up(message)
        self._singly[partition] = attempt
        await self._patiently("attempts", self._attempts.put, partition, attempt)
