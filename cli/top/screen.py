"""A frame as lines of text that fit a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from cli.terminal import printable
from operations.watching.arms_board import ArmRow, PlacementBoard
from operations.watching.frame import LEARNING_S, WINDOW_S, Frame, Freshness, TierRow
from operations.watching.intervals import Quantile

STATES = {"ready": ("●", "green"), "waiting": ("○", "yellow"), "away": ("✗", "bold red")}
ARROWS = {1: ("↑", "green"), -1: ("↓", "red"), 0: ("→", "dim"), None: (" ", "")}

COLUMN = 78
"""Width of a column of arms: a terminal of 160 has two."""

TIERS_WIDTH = 47
"""Of a tier's figures; what is left of the line is its bar."""

LEAST_ARMS = 3
SHORTEST_S, LONGEST_S = 0.0005, 0.5
"""Ends of the bar, which is logarithmic: half a millisecond to half a second."""

MIB, GIB = 1024**2, 1024**3


def lines_of(
    frame: Frame,
    boards: Sequence[PlacementBoard] | None,
    now: datetime,
    deadline_s: float,
    width: int,
    height: int | None,
    boards_words: str = "",
) -> list[Text]:
    """The screen, each line no wider than ``width``.

    Parameters
    ----------
    boards
        The arms; None: not known, for the reason that ``boards_words`` gives.
    deadline_s
        Until when a decision has to be made.
    height
        How many lines there may be; None: as many as there are.
    """
    above = [_head(frame, now), _rates(frame), Text()]
    above += _tiers(frame, deadline_s, width)
    above += [Text(), _freshness(frame), _lags(frame), _room(frame)]
    n_left = None if height is None else height - len(above)
    notes = [_note(words) for words in frame.notes]
    if n_left is not None and len(notes) > (most := max(1, n_left - LEAST_ARMS - 1)):
        notes = [*notes[: most - 1], Text(f"… and {len(notes) - most + 1} more", style="yellow")]
    n_left = None if n_left is None else n_left - len(notes)
    lines = [*above, *notes, *_arms(boards, boards_words, width, n_left)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines if height is None else lines[:height]


def _head(frame: Frame, now: datetime) -> Text:
    line = Text("nextbest top", style="bold").append(f"  {now:%H:%M:%S}   ", style="not bold")
    for name, state in frame.states.items():
        mark, style = STATES[state]
        said = "" if state == "ready" else f" {state}"
        line.append(f"{mark} {printable(name)}{said}  ", style=f"not bold {style}")
    return line


def _rates(frame: Frame) -> Text:
    if not frame.window_s:
        return Text("rates are known after the second look", style="dim")
    line = Text(f"{_number(frame.decisions_per_s)}", style="bold").append(" decisions/s   ", style="not bold")
    line.append(f"{_number(frame.events_per_s)}").append(" events/s   ", style="not bold")
    line.append(f"{frame.n_open} open   catalog {frame.catalog_version or '–'}", style="not bold")
    return line.append(f"   over {min(frame.window_s, WINDOW_S):.0f} s", style="not bold dim")


def _tiers(frame: Frame, deadline_s: float, width: int) -> list[Text]:
    title = f"{'tier':<14}{'per s':>8}{'share':>7}{'p50':>9}{'p99':>9}"
    n_bar = width - TIERS_WIDTH - 1
    head = Text(title, style="bold")
    if n_bar >= 10:
        at = _place(deadline_s, n_bar)
        words = f"deadline {_seconds(deadline_s)}"
        head.append(" " + (" " * max(0, at - len(words)) + words + "▾" if at >= len(words) else ""))
    rows = [head, *(_tier(row, deadline_s, n_bar) for row in frame.tiers)]
    if not frame.tiers:
        rows.append(Text("nothing is decided", style="dim"))
    elif frame.below_share is not None:
        line = Text(f"below personalised {_percent(frame.below_share)}")
        line.append(f"   after the deadline {_percent(frame.missed_share)}", _alarm(frame.missed_share > 0.01))
        rows.append(line)
    return rows


def _tier(row: TierRow, deadline_s: float, n_bar: int) -> Text:
    line = Text(f"{row.tier:<14}{_number(row.per_s):>8}{_percent(row.share):>7}")
    for at in (row.p50_s, row.p99_s):
        late = at is not None and (at.is_beyond or at.value > deadline_s)
        line.append(f"{_quantile(at):>9}", "bold red" if late else "")
    if n_bar < 10 or row.p50_s is None or row.p99_s is None:
        return line
    p50, p99, deadline = (_place(each, n_bar) for each in (row.p50_s.value, row.p99_s.value, deadline_s))
    line.append(" ")
    for at_column in range(n_bar):
        if at_column == deadline:
            line.append("│", "bold")
        elif at_column <= p50:
            line.append("█", "green")
        elif at_column <= p99:
            line.append("░", "red" if at_column > deadline else "green")
        else:
            line.append(" ")
    return line


def _freshness(frame: Frame) -> Text:
    def told(of: Freshness) -> str:
        return f"{_quantile(of.p50_s)}, {_quantile(of.p99_s)}"

    line = Text("fresh", style="bold").append(f"   event → state {told(frame.event_to_state)}", "not bold")
    line.append(f"   reward → weights {told(frame.reward_to_weights)}", "not bold")
    return line.append(f"   p50, p99 (of {LEARNING_S:.0f} s)", "not bold dim")


def _lags(frame: Frame) -> Text:
    line = Text("behind", style="bold")
    if not frame.lags:
        return line.append("  not known", "not bold dim")
    for role, n_entries in frame.lags.items():
        line.append(f"  {role} {n_entries:,}", f"not bold {_alarm(n_entries > 5_000)}")
        if role == "projector" and frame.projector_behind_s is not None:
            line.append(f" ({_seconds(frame.projector_behind_s)})", "not bold")
    return line


def _room(frame: Frame) -> Text:
    line = Text("room", style="bold")
    line.append(f"    spool {frame.n_spooled:,} records", f"not bold {_alarm(frame.n_spooled > 10_000)}")
    if frame.redis_limit_bytes:
        share = frame.redis_used_bytes / frame.redis_limit_bytes
        used = f"   Redis {_bytes(frame.redis_used_bytes)} of {_bytes(frame.redis_limit_bytes)} ({_percent(share)})"
        line.append(used, f"not bold {_alarm(share > 0.8)}")
    return line


def _note(words: str) -> Text:
    return Text(f"! {printable(words)}", style="yellow")


def _arms(boards: Sequence[PlacementBoard] | None, words: str, width: int, n_lines: int | None) -> list[Text]:
    """Blocks of placements, side by side where there is room, cut where there is none."""
    if boards is None or not boards:
        told = f"arms: {words}" if boards is None else "arms: nothing was decided in the last hour"
        return [Text(), Text(told, style="dim")]
    n_columns = max(1, (width + 2) // (COLUMN + 2))
    each = (width - 2 * (n_columns - 1)) // n_columns
    columns: list[list[Text]] = [[] for _ in range(n_columns)]
    for board in boards:
        column = min(columns, key=len)
        room = None if n_lines is None else n_lines - len(column)
        if room is None or room >= LEAST_ARMS:
            column += _block(board, each, room)
    lines = []
    for at in range(max(map(len, columns))):
        line = Text()
        for n, column in enumerate(columns):
            cell = column[at].copy() if at < len(column) else Text()
            cell.truncate(each, overflow="ellipsis", pad=n < n_columns - 1)
            line.append_text(cell)
            if n < n_columns - 1:
                line.append("  ")
        lines.append(line)
    return lines


def _block(board: PlacementBoard, width: int, n_lines: int | None) -> list[Text]:
    """A placement and its arms; those for which there is no line are counted."""
    title = f"{printable(board.placement)}, last hour"
    n_name = max(12, width - 45)
    head = Text(f"{_cut(title, n_name):<{n_name}}{'decided':>10}{'share':>7}  {'reward':>8}", style="bold")
    n_rows = len(board.arms) if n_lines is None else min(len(board.arms), n_lines - 2)
    if n_rows < len(board.arms):
        n_rows -= 1
    rows = [Text(), head, *(_arm(row, n_name) for row in board.arms[: max(0, n_rows)])]
    if n_rows < len(board.arms):
        rows.append(Text(f"… and {len(board.arms) - max(0, n_rows)} more", style="dim"))
    return rows


def _arm(row: ArmRow, n_name: int) -> Text:
    arrow, style = ARROWS[row.trend]
    line = Text(f"{_cut(printable(row.arm), n_name):<{n_name}}{row.n_decisions:>10,.0f}{_percent(row.share):>7}")
    line.append(f" {arrow}", style)
    if row.reward is None:
        return line.append("        –")
    error = "" if row.error is None else f" ±{row.error:.3f}"
    return line.append(f"{row.reward:>8.3f}").append(error, "dim")


def _place(seconds: float, n_columns: int) -> int:
    """The column of a time on a logarithmic bar."""
    span = math.log(LONGEST_S / SHORTEST_S)
    share = math.log(min(max(seconds, SHORTEST_S), LONGEST_S) / SHORTEST_S) / span
    return round(share * (n_columns - 1))


def _quantile(at: Quantile | None) -> str:
    return "–" if at is None else (">" if at.is_beyond else "") + _seconds(at.value)


def _seconds(seconds: float) -> str:
    """A time in its own unit.

    >>> _seconds(0.00234), _seconds(0.05), _seconds(1.25), _seconds(90)
    ('2.3 ms', '50 ms', '1.2 s', '90 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _number(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def _percent(share: float) -> str:
    """A share for people.

    >>> _percent(0.0), _percent(0.0004), _percent(0.034), _percent(1.0)
    ('0%', '0.04%', '3.4%', '100%')
    """
    if not share:
        return "0%"
    return f"{share:.0%}" if share >= 0.0995 else f"{share * 100:.2g}%"


def _bytes(size: float) -> str:
    return f"{size / GIB:,.1f} GiB" if size >= GIB else f"{size / MIB:,.0f} MiB"


def _cut(text: str, most: int) -> str:
    return text if len(text) < most else text[: most - 2] + "…"


def _alarm(is_alarm: bool) -> str:
    return "bold red" if is_alarm else ""
