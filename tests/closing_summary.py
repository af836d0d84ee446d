"""A pytest plugin: the last lines of a run say in plain words what ran, what was skipped, and why."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the summary below pytest's own."""
    stats = terminalreporter.stats
    n_failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    skipped = Counter(_reason(report) for report in stats.get("skipped", []))
    write = terminalreporter.write_line
    write("")
    write(f"{len(stats.get('passed', []))} tests passed, {n_failed} failed, {skipped.total()} were skipped.")
    for reason, n in skipped.most_common():
        write(f"  skipped {n}: {reason}")
    if not skipped:
        write("Nothing was skipped.")


def _reason(report: object) -> str:
    longrepr = getattr(report, "longrepr", None)
    text = longrepr[2] if isinstance(longrepr, tuple) and len(longrepr) == 3 else str(longrepr)
    return str(text).removeprefix("Skipped: ")
