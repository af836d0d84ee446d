"""What ``nextbest report`` prints of a report, and how it ends."""

from __future__ import annotations

import msgspec
import pytest

from cli.report import NO_EXPERIMENT, end, show
from personalization.evaluation.experiment_report import ExperimentReport
from tests.unit.operations.reporting import made_reports


def printed(capsys: pytest.CaptureFixture[str], report: ExperimentReport, *, segments: bool = False) -> str:
    show(report, segments)
    return capsys.readouterr().out


def row(text: str, *begins: str) -> str:
    (line,) = (line for line in text.splitlines() if line.split("  ")[0] == begins[0] and begins[1] in line)
    return line


def test_words_come_first_then_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, made_reports.full())
    assert text.startswith("100,000 visitors, each watched for 7 days")
    assert text.index(made_reports.ORDERED.words) < text.index("metric ")
    assert "personalised against held out (52,000 and 48,000 visitors), intervals of 95 %" in text
    ordered = row(text, "ordered", "5.6 %")
    for figure in ("5.0 %", "+0.6 points", "+0.1 to +1.1", "+12 % (+2.0 % to +23 %)", "0.004", "11 %"):
        assert figure in ordered
    assert "+€0.21" in row(text, "revenue", "€3.31")
    assert made_reports.THIN in text, "a comparison that cannot be made says why"
    assert "€12,300" in text
    assert "They fell to the sides as the split says (p = 0.43)." in text


def test_segments_are_shown_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "loyal" not in printed(capsys, made_reports.full())
    text = printed(capsys, made_reports.full(), segments=True)
    assert "personalised against held out, by segment, intervals of 98.3 %" in text
    assert "9,000 and 8,500" in row(text, "loyal", "ordered")


@pytest.mark.parametrize("report", [made_reports.missing(), made_reports.alarm()])
def test_where_nothing_can_be_said_no_number_is_printed(
    capsys: pytest.CaptureFixture[str], report: ExperimentReport
) -> None:
    show(report, True)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"nextbest: {report.alarm or report.missing}\n"
    with pytest.raises(SystemExit) as ended:
        end([report])
    assert ended.value.code == 3


def test_a_report_whose_every_difference_is_missing_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    thin = msgspec.structs.replace(made_reports.full(), differences=[made_reports.BOLD])
    show(thin, False)
    assert capsys.readouterr() == ("", f"nextbest: {made_reports.THIN}\n")


def test_one_that_says_something_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    end([made_reports.missing(), made_reports.full()])
    with pytest.raises(SystemExit):
        end([])
    assert NO_EXPERIMENT in capsys.readouterr().err


def test_what_a_terminal_would_obey_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J[red]"
    differences = [msgspec.structs.replace(made_reports.ORDERED, metric=evil, words=evil)]
    text = printed(capsys, msgspec.structs.replace(made_reports.full(), differences=differences))
    assert text.count("[red]") == 2, "in words and in the table"
    assert "\x1b" not in text
    show(msgspec.structs.replace(made_reports.missing(), missing=evil), False)
    assert capsys.readouterr().err == "nextbest: \N{REPLACEMENT CHARACTER}[2J[red]\n"
