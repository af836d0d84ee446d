"""Rows of the log: each record once, whatever ends the process; and why others are left out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import structs

from eventlog.port import EventLog, LogIdentity, Record
from eventlog.topics import DECISIONS, OUTCOMES
from operations.exporting import log_export
from operations.exporting.columns import What
from operations.exporting.departures import Departures, forgotten_in
from operations.exporting.log_export import begin, check_log, export_log
from operations.exporting.log_rows import Reading
from operations.exporting.progress import Asked, Progress, Standing
from operations.exporting.record_rows import outcome_row
from operations.exporting.rows_file import RowsFile
from operations.moments import moment_ms
from personalization.bounded import short_hash
from personalization.errors import InvalidInput, Refused
from personalization.events.decision_id import mint
from personalization.events.decision_record import DecisionRecord, encode_record
from personalization.events.forgotten import Forgotten, encode_forgotten
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.events.participant import Participant, encode_participant, experiment_key
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import FolderState, encode_folder
from personalization.visitor.purposes import Word
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.visitor_store import Gone, Stored, pack_gone, pack_visitor
from tests.unit.stream.fakes import N_PARTITIONS, MemoryLog, MemoryVisitors

SECRET = b"secret"
NOW = 1_000_000


class Retained(MemoryLog):
    """A log that says which one it is."""

    log_id = "log"

    async def identity(self, anew: bool = False) -> LogIdentity:
        return LogIdentity(1, self.log_id, N_PARTITIONS)


def choice(n: int, placement: str = "hero") -> Choice:
    return Choice(mint(SECRET, f"a:v{n}", n.to_bytes(9)), placement, 0, "red", 1 << 31)


def record(n: int, **more: Any) -> DecisionRecord:
    made = choice(n)
    return DecisionRecord(
        **{
            "choice": made,
            "message_id": made.decision_id,
            "request_id": "r",
            "key": f"a:v{n}",
            "tier": "personalised",
            "reason": "",
            "decided_at_ms": NOW + n,
            "unit": short_hash(f"a:v{n}"),
            "features": {"age": float(n)},
            **more,
        }
    )


def outcome(n: int, **more: Any) -> Outcome:
    made = Outcome(choice(n), float(n % 2), ClosingReason.WINDOW, NOW + n, NOW + n + 10, unit=short_hash(f"a:v{n}"))
    return structs.replace(made, **more)


async def decided(log: MemoryLog, *records: DecisionRecord) -> None:
    await log.append([Record(DECISIONS, each.key, encode_record(each)) for each in records])


async def closed(log: MemoryLog, *outcomes: Outcome) -> None:
    await log.append([Record(OUTCOMES, each.choice.model, encode_outcome(each)) for each in outcomes])


@contextmanager
def opened(
    folder: Path, asked: Asked, since_ms: int | None = None, until_ms: int | None = None
) -> Iterator[Progress]:
    with Progress(folder / "progress") as progress:
        if progress.standing is None:
            progress.begin(Standing(asked=asked, since_ms=since_ms, until_ms=until_ms))
        yield progress


async def export(
    log: Retained,
    folder: Path,
    asked: Asked,
    visitors: MemoryVisitors | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The rows, and how many were left out for what; goes on with what stands in ``folder``."""
    as_log = cast(EventLog, log)
    with opened(folder, asked, since_ms, until_ms) as progress:
        standing = progress.standing
        assert standing is not None
        if standing.log is None:
            await begin(as_log, standing)
            progress.begin(standing)
        await check_log(as_log, standing)
        departures = Departures(visitors or MemoryVisitors(), await forgotten_in(as_log))
        with RowsFile(folder / "rows", standing.n_bytes) as rows:
            await export_log(as_log, Reading(standing, SECRET), departures, progress, rows, lambda _: None)
        lines = (folder / "rows").read_text().splitlines()
        assert standing.n_rows == len(lines)
        return [json.loads(line) for line in lines], standing.left_out


ASKED = Asked(what=What.DECISIONS)


class Killed(Exception):
    """Stands for whatever ends the process."""


@pytest.mark.parametrize("when", ["before", "after"])
async def test_no_row_is_lost_or_there_twice_wherever_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(log_export, "BATCH", 3)
    log = Retained()
    await decided(log, *(record(n) for n in range(40)))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    rows, _ = await export(log, whole, ASKED)
    assert sorted(row["feature.age"] for row in rows) == [float(n) for n in range(40)]
    commit = Progress.commit
    n_killed = 0

    def dying(self: Progress) -> None:
        nonlocal n_killed
        n_killed += 1
        if when == "after" or n_killed % 2 == 0:
            commit(self)
        raise Killed

    for _ in range(6):
        with monkeypatch.context() as patch:
            patch.setattr(Progress, "commit", dying)
            with pytest.raises(Killed):
                await export(log, broken, ASKED)
    await export(log, broken, ASKED)
    assert (broken / "rows").read_bytes() == (whole / "rows").read_bytes()


async def test_what_is_in_the_log_twice_is_in_the_file_once(tmp_path: Path) -> None:
    log = Retained()
    await closed(log, outcome(1), outcome(2), outcome(1))
    rows, left_out = await export(log, tmp_path, Asked(what=What.OUTCOMES))
    assert [row["reward"] for row in rows] == [1.0, 0.0]
    assert left_out == {"in the log twice": 1}


async def test_what_comes_after_it_began_is_for_another_export(tmp_path: Path) -> None:
    log = Retained()
    await decided(log, record(1))
    with opened(tmp_path, ASKED) as progress:
        assert progress.standing is not None
        await begin(cast(EventLog, log), progress.standing)
        progress.commit()
    await decided(log, record(2))
    rows, _ = await export(log, tmp_path, ASKED)
    assert [row["feature.age"] for row in rows] == [1.0]


async def test_only_what_was_closed_with_all_that_it_earned_unless_all_is_asked_for(tmp_path: Path) -> None:
    log = Retained()
    await closed(log, *(outcome(n, reason=reason) for n, reason in enumerate(ClosingReason)))
    one, all_of_them = tmp_path / "one", tmp_path / "all"
    one.mkdir()
    all_of_them.mkdir()
    rows, left_out = await export(log, one, Asked(what=What.OUTCOMES))
    assert [row["closed_because"] for row in rows] == ["window", "final"]
    assert left_out == {"closed for want of room": 1, "closed by a refusal": 1, "never shown": 1}
    rows, left_out = await export(log, all_of_them, Asked(what=What.OUTCOMES, closed_by_all=True))
    assert [row["closed_because"] for row in rows] == list(ClosingReason)
    assert left_out == {}


async def test_times_and_placements_bound_what_is_read(tmp_path: Path) -> None:
    log = Retained()
    await decided(
        log, *(record(n) for n in range(10)), record(20, choice=choice(20, "side"), decided_at_ms=NOW + 5)
    )
    asked = Asked(what=What.DECISIONS, placements=("hero",))
    rows, left_out = await export(log, tmp_path, asked, since_ms=NOW + 3, until_ms=NOW + 6)
    assert sorted(row["decided_at_ms"] - NOW for row in rows) == [3, 4, 5]
    assert left_out == {}, "what was not asked for is not missed"


async def test_what_stands_beside_outcomes_is_none_and_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    log = Retained()
    told = Participant("p", "hero", "", {"": 1.0}, NOW, NOW, 0)
    await log.append([Record(OUTCOMES, experiment_key("hero"), encode_participant(told))])
    await log.append([Record(OUTCOMES, "hero", b"\xc1\x01sealed"), Record(OUTCOMES, "hero", b"junk")])
    await closed(log, outcome(1))
    rows, left_out = await export(log, tmp_path, Asked(what=What.OUTCOMES))
    assert len(rows) == 1
    assert left_out == {"unreadable": 2}


async def test_whom_the_log_tells_models_to_forget_is_left_out_as_far_as_it_was_before(tmp_path: Path) -> None:
    log = Retained()
    await closed(log, *(outcome(n) for n in range(4)))
    forgotten = Forgotten((short_hash("a:v1"),), NOW + 2)
    await log.append([Record(OUTCOMES, "hero", encode_forgotten(forgotten))])
    await closed(log, structs.replace(outcome(1), choice=choice(101), decided_at_ms=NOW + 3))
    rows, left_out = await export(log, tmp_path, Asked(what=What.OUTCOMES))
    assert left_out == {"erased": 1}
    assert sorted(row["decided_at_ms"] - NOW for row in rows) == [0, 2, 3, 3], "who came back is somebody new"


def stored(state: VisitorState, **folder: Any) -> Stored:
    return Stored(pack_visitor(state), encode_folder(FolderState(**folder)))


@pytest.mark.parametrize("what", [What.DECISIONS, What.OUTCOMES])
async def test_who_was_erased_or_has_refused_since_is_left_out_by_their_state(tmp_path: Path, what: What) -> None:
    log, visitors = Retained(), MemoryVisitors()
    refused = {"personalization": Word(False, NOW)}
    visitors.stored = {
        "a:v0": stored(VisitorState(consents=refused)),
        "a:v1": stored(VisitorState(redirect="u:ann")),
        "u:ann": stored(VisitorState(consents=refused)),
        "a:v2": Stored(None, None, Gone("a:v2", pack_gone(Visitor.forgotten(1, 7, NOW + 2)))),
        "a:v3": stored(VisitorState(), erased_ms=NOW + 2),  # erased, and here again
        "a:v4": Stored(b"\xc1", None),
        "a:v5": stored(VisitorState(consents={"ads": Word(False, NOW)})),
    }
    await decided(log, *(record(n) for n in range(7)))
    await closed(log, *(outcome(n) for n in range(7)))
    rows, left_out = await export(log, tmp_path, Asked(what=what, with_ids=True), visitors)
    assert sorted(row["visitor_id"] for row in rows) == ["a:v3", "a:v5", "a:v6"]
    assert left_out == {"refused since": 2, "erased": 1, "of a visitor whose state cannot be read": 1}


async def test_what_the_log_let_go_of_while_the_export_stood_still_is_counted(tmp_path: Path) -> None:
    log = Retained()
    await decided(log, *(record(n) for n in range(20)))
    with opened(tmp_path, ASKED) as progress:
        assert progress.standing is not None
        await begin(cast(EventLog, log), progress.standing)
        progress.commit()
    log.earliest = dict.fromkeys(range(N_PARTITIONS), 2)
    rows, left_out = await export(log, tmp_path, ASKED)
    n_lost = sum(min(2, len(partition)) for partition in log.of(DECISIONS))
    assert len(rows) == 20 - n_lost
    assert left_out == {"let go by the log before they were read": n_lost}


async def test_another_log_is_not_gone_on_with(tmp_path: Path) -> None:
    log = Retained()
    await decided(log, record(1))
    await export(log, tmp_path, ASKED)
    log.log_id = "another"
    with pytest.raises(Refused, match=r"begun on another log .*begin anew, without --resume"):
        await export(log, tmp_path, ASKED)


def test_two_exports_do_not_write_one_file(tmp_path: Path) -> None:
    with opened(tmp_path, ASKED), pytest.raises(Refused, match="another export is writing there"):
        Progress(tmp_path / "progress")


def test_something_else_that_stands_there_is_not_taken_for_an_export(tmp_path: Path) -> None:
    (tmp_path / "progress").write_bytes(b"my own notes, and long enough to be read as a header of a file" * 40)
    with pytest.raises(Refused, match="delete it, and begin anew"):
        Progress(tmp_path / "progress")


def test_rows_that_are_shorter_than_was_noted_are_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"{}\n")
    with pytest.raises(Refused, match="begin anew"):
        RowsFile(tmp_path / "rows", 4)


def test_text_in_one_row_makes_a_column_of_text_also_after_a_break(tmp_path: Path) -> None:
    with opened(tmp_path, ASKED) as progress:
        progress.note_columns([{"feature.x": 1.0}, {"feature.y": 1.0}])
        progress.commit()
    with opened(tmp_path, ASKED) as progress:
        progress.note_columns([{"feature.x": "text"}, {"feature.x": 1.0}])
        progress.commit()
    with opened(tmp_path, ASKED) as progress:
        assert progress.columns == {"feature.x": True, "feature.y": False}


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "", "7", "9" * 20 + "d"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"--since: .*is no moment"):
        moment_ms("--since", text, NOW)


def test_the_id_that_a_release_before_made_tells_nobody() -> None:
    old = base64.urlsafe_b64encode(b"m" * 9 + b"nonce-of-" + b"u:ann@example.org").decode().rstrip("=")
    row = outcome_row(outcome(1, choice=structs.replace(choice(1), decision_id=old)))
    assert row["decision_id"] == old[12:24]
    assert outcome_row(outcome(1))["decision_id"] == choice(1).decision_id
