"""What is watched fits the terminal, and what is late, away or unknown is seen."""

from __future__ import annotations

from datetime import datetime

import pytest
from rich.cells import cell_len

from cli.top.screen import lines_of
from operations.watching.arms_board import ArmRow, PlacementBoard
from operations.watching.frame import Frame, Freshness, TierRow
from operations.watching.intervals import Quantile

NOW = datetime(2026, 11, 27, 14, 3, 22)
DEADLINE_S = 0.05


def frame(n_notes: int = 1, p99_s: float = 0.0072) -> Frame:
    return Frame(
        states={"folder": "ready", "learner": "ready", "api": "ready", "projector": "away"},
        notes=[f"projector: does not answer ({n})" for n in range(n_notes)],
        window_s=10.0,
        decisions_per_s=198.4,
        events_per_s=51.2,
        tiers=[
            TierRow("personalised", 190.2, 0.959, Quantile(0.0021), Quantile(p99_s)),
            TierRow("rules", 6.1, 0.031, Quantile(0.0012), Quantile(0.0034)),
            TierRow("default", 2.1, 0.01, None, None),
        ],
        below_share=0.041,
        missed_share=0.0004,
        event_to_state=Freshness(Quantile(0.004), Quantile(0.012)),
        reward_to_weights=Freshness(Quantile(0.21), Quantile(60.0, is_beyond=True)),
        lags={"folder": 12, "learner": 0, "projector": 6_030},
        projector_behind_s=2.1,
        n_spooled=0,
        n_open=3,
        redis_used_bytes=35 * 1024**2,
        redis_limit_bytes=12 * 1024**3,
        catalog_version=4,
    )


def boards(n_placements: int, n_arms: int) -> list[PlacementBoard]:
    arms = [
        ArmRow(f"{'a-content-with-a-long-name-' * 3}{n}", 1200.0 - n, 1 / n_arms, 1 - n % 3, 0.1 + n / 1000, 0.01)
        for n in range(n_arms)
    ]
    return [PlacementBoard(f"placement-{n}", 1000.0 - n, arms) for n in range(n_placements)]


def shown(width: int, height: int | None, n_placements: int = 3, n_arms: int = 20, n_notes: int = 1) -> list[str]:
    lines = lines_of(frame(n_notes), boards(n_placements, n_arms), NOW, DEADLINE_S, width, height)
    return [line.plain for line in lines]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (100, 30), (160, 50), (250, 70), (40, 12)])
@pytest.mark.parametrize(("n_placements", "n_arms", "n_notes"), [(0, 0, 0), (1, 2, 1), (3, 20, 1), (40, 60, 50)])
def test_a_screen_is_never_larger_than_the_terminal(
    width: int, height: int, n_placements: int, n_arms: int, n_notes: int
) -> None:
    lines = shown(width, height, n_placements, n_arms, n_notes)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    assert any("decisions/s" in line for line in lines)


def test_what_finds_no_room_is_counted() -> None:
    lines = shown(80, 24)
    names = [line for line in lines if line.startswith("a-content")]
    counted = [line for line in lines if line.startswith("… and")]
    assert counted == [f"… and {20 - len(names)} more"]
    assert sum("placement-" in line for line in lines) == 1
    whole = shown(80, None)
    assert sum(line.startswith("a-content") for line in whole) == 60
    assert not any(line.startswith("… and") for line in whole)


def test_a_wide_terminal_shows_placements_side_by_side() -> None:
    heads = [line for line in shown(160, 50) if "placement-0" in line]
    assert "placement-1" in heads[0]


def test_notes_leave_room_for_arms() -> None:
    lines = shown(80, 24, n_notes=50)
    assert any(line.startswith("! projector") for line in lines)
    assert any("more" in line for line in lines)
    assert any("placement-0" in line for line in lines)


def test_what_is_past_the_deadline_is_red_and_its_place_is_marked() -> None:
    for p99_s, style in ((0.0072, ""), (0.2, "bold red")):
        lines = lines_of(frame(p99_s=p99_s), [], NOW, DEADLINE_S, 80, 24)
        head = next(line for line in lines if line.plain.startswith("tier"))
        row = next(line for line in lines if line.plain.startswith("personalised"))
        assert head.plain.index("▾") == row.plain.index("│")
        quantile = "7.2 ms" if p99_s < DEADLINE_S else "200 ms"
        at = row.plain.index(quantile)
        assert any(span.start <= at < span.end and str(span.style) == style for span in row.spans) == bool(style)
        assert ("░" in row.plain[row.plain.index("│") :]) == (p99_s > DEADLINE_S)


def test_what_is_away_beyond_or_unknown_is_told() -> None:
    text = "\n".join(line.plain for line in lines_of(frame(), None, NOW, DEADLINE_S, 120, 30, "Redis is away"))
    assert "✗ projector away" in text
    assert ">60 s" in text
    assert "default            2.1     1%        –        –" in text
    assert "arms: Redis is away" in text


def test_names_that_callers_bring_do_not_reach_the_terminal_as_escapes() -> None:
    board = PlacementBoard("p", 1.0, [ArmRow("\x1b[2Jarm", 1.0, 1.0, None, None, None)])
    text = "\n".join(line.plain for line in lines_of(frame(), [board], NOW, DEADLINE_S, 80, 24))
    assert "\x1b" not in text


def test_no_error_is_told_of_a_mean_of_one() -> None:
    board = PlacementBoard("p", 1.0, [ArmRow("arm", 1.0, 1.0, None, 0.25, None)])
    (row,) = (line.plain for line in lines_of(frame(), [board], NOW, DEADLINE_S, 80, 24) if "arm " in line.plain)
    assert row.rstrip().endswith("0.250")
