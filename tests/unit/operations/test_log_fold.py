"""The plain loop behind ``nextbest replay``, and what the command asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner

from cli.replay import replay
from eventlog.port import LogEntry
from operations.replay import log_fold
from operations.replay.log_fold import PartitionFold
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Track
from personalization.folding.fold import fold
from personalization.folding.folded import Folded
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.world import START, shop

KEY = "a:1"


class FakeLog:
    """One partition of a log, in memory."""

    def __init__(self, *values: bytes) -> None:
        self.values = values

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        for offset in range(from_offset, len(self.values) if to_offset is None else to_offset):
            yield LogEntry(offset, KEY, self.values[offset])


def tracked(n: int) -> bytes:
    event = Track(message_id=f"m{n}", event="Viewed")
    return encode_entry(Entry(received_at_ms=START + n, occurred_at_ms=START + n, catalog_version=1, event=event))


async def catalog_of(version: int) -> CompiledCatalog:
    assert version == 1
    return shop()


async def test_it_folds_from_where_it_stood_to_where_it_is_told() -> None:
    part = PartitionFold(0, 1)
    log: Any = FakeLog(*map(tracked, range(5)))
    await part.advance(log, catalog_of, 2)
    assert (part.n_entries, part.next_offset, part.visitors[KEY].state.event_count) == (2, 2, 2)
    await part.advance(log, catalog_of)
    assert (part.n_entries, part.next_offset, part.visitors[KEY].state.event_count) == (5, 5, 5)


async def test_bytes_that_are_no_entry_are_dead_and_change_nothing() -> None:
    part = PartitionFold(0, 1)
    log: Any = FakeLog(tracked(0), b"\xc1", tracked(2))
    await part.advance(log, catalog_of)
    assert (part.n_entries, part.n_dead, part.visitors[KEY].state.event_count) == (3, 1, 2)


async def test_an_entry_that_cannot_be_folded_leaves_no_trace_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the folder does it: the visitor is folded anew without it, since it is half changed."""

    def fragile(visitor: Visitor, key: str, position: Any, *rest: Any) -> Folded:
        folded = fold(visitor, key, position, *rest)
        if position.offset == 1:
            raise ZeroDivisionError("broken on purpose")
        return folded

    monkeypatch.setattr(log_fold, "fold", fragile)
    part = PartitionFold(0, 1, initial=lambda: {KEY: Visitor(VisitorState(event_count=10), FolderState())})
    log: Any = FakeLog(*map(tracked, range(3)))
    await part.advance(log, catalog_of)
    assert (part.n_entries, part.n_dead, part.visitors[KEY].state.event_count) == (3, 1, 12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of --check, --rebuild, --windows, --save-base"),
        (["--check", "--rebuild"], "one of --check, --rebuild, --windows, --save-base"),
        (["--windows", "--states"], "belong to --rebuild"),
        (["--windows", "--base", __file__], "--base belongs to --check and --rebuild"),
        (
            ["--windows", "--data-dir", "nowhere"],
            "needs the folder at work: start `nextbest up --data-dir nowhere`",
        ),
        (["--check", "--models"], "belong to --rebuild"),
        (["--rebuild", "--base", "nowhere"], "does not exist"),
    ],
)
def test_what_makes_no_sense_is_said(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(replay, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_folder_that_is_no_data_folder_is_refused(tmp_path: Any) -> None:
    result = CliRunner().invoke(replay, ["--check", "--data-dir", str(tmp_path)])
    assert "no data folder of `nextbest up`" in str(result.exception)
    assert list(tmp_path.iterdir()) == [], "nothing was made there"
