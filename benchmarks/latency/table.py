"""The figures as a table in Markdown: medians over the rounds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks.latency.product import Server
from benchmarks.latency.system_calls import GROUPS, SystemCalls
from benchmarks.latency.vegeta import Attack

Runs = dict[tuple[int, str], list[tuple[Attack, Mapping[str, float]]]]
"""By rate and server: what came of each round, and its CPU seconds by role without those an idle server uses."""


def latency_table(runs: Runs) -> str:
    """Latency and CPU by rate, with the ratio to ``base`` where there is one."""
    lines = [
        "| a second | | p50 ms | p99 ms | CPU of a decision, ms | failed |",
        "|---|---|---|---|---|---|",
    ]
    for (rate, name), rounds in runs.items():
        figures = _medians(rounds)
        base = runs.get((rate, "base"))
        ratios = [""] * 3
        if base and name == "head":
            ratios = [f" ({ours / theirs:.2f} ×)" for ours, theirs in zip(figures, _medians(base), strict=True)]
        p50, p99, cpu = (f"{figure:.2f}{ratio}" for figure, ratio in zip(figures, ratios, strict=True))
        failed = sum(attack.n_failed for attack, _ in rounds)
        lines.append(f"| {rate:,} | {name} | {p50} | {p99} | {cpu} | {failed} |")
    return "\n".join(lines)


def roles_table(runs: Runs) -> str:
    """CPU of a decision by the process that uses it, in milliseconds."""
    roles = list(dict.fromkeys(role for rounds in runs.values() for _, cpu_s in rounds for role in cpu_s))
    lines = [f"| a second | | {' | '.join(roles)} |", "|---|---|" + "---|" * len(roles)]
    for (rate, name), rounds in runs.items():
        figures = [
            statistics.median(cpu_s.get(role, 0.0) / attack.n_asked * 1e3 for attack, cpu_s in rounds)
            for role in roles
        ]
        lines.append(f"| {rate:,} | {name} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")
    return "\n".join(lines)


def calls_table(counted: Sequence[tuple[Server, int, Mapping[str, SystemCalls]]]) -> str:
    """Calls of the kernel per decision, idle ones included.

    Parameters
    ----------
    counted
        Server, decisions meanwhile, and the calls by role.
    """
    lines = [f"| | | {' | '.join(GROUPS)} | all |", "|---|---|" + "---|" * (len(GROUPS) + 1)]
    for server, n_decisions, by_role in counted:
        for role, calls in by_role.items():
            each = [calls.groups[group] for group in GROUPS]
            figures = [f"{n / n_decisions:.2f}" for n in (*each, sum(calls.kinds.values()))]
            lines.append(f"| {server.name} | {role} | {' | '.join(figures)} |")
    return "\n".join(lines)


def _medians(rounds: Sequence[tuple[Attack, Mapping[str, float]]]) -> tuple[float, float, float]:
    figures = defaultdict(list)
    for attack, cpu_s in rounds:
        figures["p50"].append(attack.p50_ms)
        figures["p99"].append(attack.p99_ms)
        figures["cpu"].append(sum(cpu_s.values()) / attack.n_asked * 1e3)
    return (
        statistics.median(figures["p50"]),
        statistics.median(figures["p99"]),
        statistics.median(figures["cpu"]),
    )
