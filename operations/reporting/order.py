"""What of a report comes first: its finding, and its differences metric by metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from personalization.evaluation.experiment_report import Difference, ExperimentReport


class Finding(NamedTuple):
    """What a report says in one sentence, or why it says nothing; the other one is empty."""

    words: str
    why_not: str


def finding(report: ExperimentReport) -> Finding:
    """The sentence that stands for a report."""
    why_not = report.alarm or report.missing
    if why_not:
        return Finding("", why_not)
    for each in report.differences:
        if not each.missing:
            return Finding(each.words, "")
    missing = next((each.missing for each in report.differences if each.missing), "")
    return Finding("", missing or "Nothing can be compared yet: no metric of the catalog was counted.")


def by_metric(report: ExperimentReport) -> list[tuple[str, list[Difference]]]:
    """The differences of each metric, in the report's order."""
    found: dict[str, list[Difference]] = {}
    for each in report.differences:
        found.setdefault(each.metric, []).append(each)
    return list(found.items())


def of_everybody(differences: Iterable[Difference]) -> list[Difference]:
    """Those that are of no segment."""
    return [each for each in differences if not each.segment]


def by_sides(differences: Iterable[Difference]) -> list[Sequence[Difference]]:
    """Those that compare the same sides, together."""
    found: dict[tuple[str, str], list[Difference]] = {}
    for each in differences:
        found.setdefault((each.side, each.against), []).append(each)
    return list(found.values())


def of_segments(differences: Iterable[Difference]) -> list[Sequence[Difference]]:
    """Those of segments, together where they compare the same sides."""
    return by_sides(each for each in differences if each.segment)
