"""Decisions and outcomes out of the log: partition by partition, a batch at a time, each batch for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventlog.port import EventLog, LogEntry
from operations.exporting.columns import What
from operations.exporting.departures import Departures
from operations.exporting.log_rows import TOPICS, Candidate, Reading
from operations.exporting.progress import Progress, Standing
from operations.exporting.rows_file import RowsFile
from personalization.errors import Refused

BATCH = 500
"""Entries of one step, which ends on the disk: a second's worth of them costs 100 ms of waiting for it."""

TWICE, LET_GO = "in the log twice", "let go by the log before they were read"

Advance = Callable[[int], None]
"""Is told how many entries more were read."""


async def begin(log: EventLog, standing: Standing) -> None:
    """Note which log it is, and from where to where it is read: what comes later is for another export."""
    topic = TOPICS[What(standing.asked.what)]
    standing.log = await log.identity(anew=True)
    standing.ends = await log.end_offsets(topic)
    standing.begins = await log.earliest_offsets(topic)
    standing.next = list(standing.begins)


async def check_log(log: EventLog, standing: Standing) -> None:
    """See that offsets still mean what they did; raises ``Refused``."""
    identity = await log.identity(anew=True)
    if identity != standing.log:
        began = "none" if standing.log is None else f"{standing.log.log_id}, epoch {standing.log.epoch}"
        raise Refused(
            f"the export was begun on another log ({began}; this is {identity.log_id}, epoch {identity.epoch}): "
            "begin anew, without --resume"
        )


async def export_log(
    log: EventLog, reading: Reading, departures: Departures, progress: Progress, rows: RowsFile, advance: Advance
) -> None:
    """Read what is still to be read.

    Raises
    ------
    Unavailable
        If log or Redis do not answer; what was read stays read.
    """
    standing = progress.standing
    assert standing is not None
    topic = TOPICS[What(standing.asked.what)]
    for partition, end in enumerate(standing.ends):
        kept_from = (await log.earliest_offsets(topic))[partition]
        start = standing.next[partition]
        if start >= end:
            continue
        standing.leave_out(LET_GO, max(0, min(kept_from, end) - start))
        start = standing.next[partition] = max(start, min(kept_from, end))
        batch: list[LogEntry] = []
        async for entry in log.read(topic, partition, start, end):
            batch.append(entry)
            if len(batch) == BATCH:
                await _take(batch, reading, departures, progress, rows)
                advance(_ended(standing, partition, batch[-1].offset + 1))
                _keep(progress, rows)
                batch = []
        await _take(batch, reading, departures, progress, rows)
        advance(_ended(standing, partition, end))
        _keep(progress, rows)


async def _take(
    batch: Sequence[LogEntry], reading: Reading, departures: Departures, progress: Progress, rows: RowsFile
) -> None:
    standing = progress.standing
    assert standing is not None
    candidates: list[Candidate] = []
    for entry in batch:
        found = reading.read(entry)
        if isinstance(found, str):
            standing.leave_out(found)
        elif found is not None:
            candidates.append(found)
    reasons = await departures.of([candidate.concerned for candidate in candidates])
    for reason in reasons:
        if reason is not None:
            standing.leave_out(reason)
    staying = [candidate for candidate, reason in zip(candidates, reasons, strict=True) if reason is None]
    are_new = progress.are_new([candidate.row_id for candidate in staying])
    standing.leave_out(TWICE, are_new.count(False))
    new = [candidate.row for candidate, is_new in zip(staying, are_new, strict=True) if is_new]
    progress.note_columns(new)
    rows.append(new)
    standing.n_rows += len(new)


def _ended(standing: Standing, partition: int, offset: int) -> int:
    """Note where the next batch begins; gives how many entries that is further."""
    before, standing.next[partition] = standing.next[partition], offset
    return offset - before


def _keep(progress: Progress, rows: RowsFile) -> None:
    """Rows first: what the progress says of them is true whenever the process ends."""
    rows.sync()
    assert progress.standing is not None
    progress.standing.n_bytes = rows.n_bytes
    progress.commit()
