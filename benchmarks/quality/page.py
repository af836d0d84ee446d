"""The table as a page of the documentation, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.quality.cells import Cell, mean_and_sd
from benchmarks.quality.contenders import OURS
from benchmarks.quality.data_sets import DATA_SETS, FIVE, DataSet


@dataclass(slots=True)
class Results:
    """All runs to be shown.

    Attributes
    ----------
    cells
        By (data set, contender).
    fixed
        Data set → what needs no run: uniform choice, best fixed arm.
    absent
        Library → why it takes no part.
    """

    orders: int
    limit: int | None
    cells: dict[tuple[str, str], list[Cell]] = field(default_factory=dict)
    fixed: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def data_sets(self) -> list[DataSet]:
        """Those with any result, in the table's order."""
        known = {name for name, _ in self.cells} | set(self.fixed)
        return [data_set for data_set in DATA_SETS if data_set.name in known]

    def columns(self) -> list[str]:
        """Contenders with any result, ours first, what needs no run last."""
        ran = dict.fromkeys(contender for _, contender in self.cells)
        fixed = dict.fromkeys(name for figures in self.fixed.values() for name in figures)
        return [*sorted(ran, key=lambda name: name != OURS), *fixed]


def as_json(results: Results) -> dict[str, Any]:
    """Everything shown, for programs."""
    rows: dict[str, Any] = {}
    for data_set in results.data_sets():
        shown: dict[str, Any] = {}
        for name in results.columns():
            cells = results.cells.get((data_set.name, name))
            if cells:
                shown[name] = {
                    **{figure: _spread(cells, figure) for figure in data_set.figures},
                    "us_per_decision": _mean(cell.us_per_decision for cell in cells),
                    "us_per_update": _mean(cell.us_per_update for cell in cells),
                }
            elif name in results.fixed.get(data_set.name, {}):
                shown[name] = {figure: results.fixed[data_set.name][name][figure] for figure in data_set.figures}
        rows[data_set.name] = shown
    five = five_mean(results, FIVE)
    return {"rows": rows, "five_set_mean": five, "absent": results.absent, "orders": results.orders}


def five_mean(results: Results, names: Sequence[str]) -> dict[str, float]:
    """Per contender the mean over five data sets; of those that played them all."""
    means = {}
    for column in results.columns():
        parts = []
        for name in names:
            if cells := results.cells.get((name, column)):
                parts.append(mean_and_sd(cells, "mean_reward")[0])
            elif column in results.fixed.get(name, {}):
                parts.append(results.fixed[name][column]["mean_reward"])
        if len(parts) == len(names):
            means[column] = sum(parts) / len(parts)
    return means


def table(results: Results) -> list[str]:
    """One Markdown table: a line per contender, a column per data set; the best of each in bold."""
    sets = [data_set for data_set in results.data_sets() if data_set.name not in _delayed()]
    lines = ["| | five-set mean | " + " | ".join(data_set.name for data_set in sets) + " |"]
    lines.append("|---" * (len(sets) + 2) + "|")
    five = five_mean(results, FIVE)
    goals = [_goal(data_set) for data_set in sets]
    lines.append("| goal | ≥ .885 | " + " | ".join(goals) + " |")
    for column in results.columns():
        texts = [_five_text(five, column)]
        texts += [_cell_text(results, data_set, column) for data_set in sets]
        if any(texts):
            lines.append(f"| {column} | " + " | ".join(text or "–" for text in texts) + " |")
    return lines


def costs(results: Results) -> list[str]:
    """Our own cost per data set, with how each figure is got."""
    lines = ["| data set | rows | µs a decision | µs an update | the command |", "|---|---|---|---|---|"]
    for data_set in results.data_sets():
        cells = results.cells.get((data_set.name, OURS))
        if cells:
            decide = "–" if data_set.kind == "conversion" else f"{_mean(c.us_per_decision for c in cells):.0f}"
            update = f"{_mean(cell.us_per_update for cell in cells):.0f}"
            command = data_set.command(results.orders)
            lines.append(f"| {data_set.name} | {cells[0].rows:,} | {decide} | {update} | `{command}` |")
    return lines


PAGE = """\
# Quality on real data

Nobody here made these data, and nothing of ours is tuned to a set: one configuration for all. A contender sees the
context of a row, chooses, and learns the chosen arm's reward alone. Every contender plays the same orders in the
same run: {orders}. Shown are mean ± standard deviation over orders, the best
contender of each column in bold; – was not played, no ± one order alone. Conversions are predicted, then learned,
once, in file order.

{table}

{notes}

Contenders: {versions}.
Ours is the shipped default and draws from its own logged probabilities. Theirs get features
standardised online and categories one-hot (MABWiser's known in advance). VW crosses arm and context and has a
letter before every numeric feature's name; *crossed* has the products of every two features besides; its settings
are the best of 50 tried on parts of these very sets. MABWiser's policies and River's choose without probabilities.
*Best fixed arm* is known only afterwards.
{absent}{late}
## How the numbers were got

    {command}

It goes on where it stopped: runs are kept in `.cache/quality.jsonl` under the code that made them. Our own figures
are those of the product's commands:

{costs}

Costs are process CPU with one BLAS thread: encoding, probabilities, draw and snapshot included; of conversions, one
prediction and one update.
"""

LATE = """
## Late rewards

With every reward 200 decisions late and a snapshot every 50 updates our five-set mean is {delayed}: {less:.3f} less
(goal: at most .020 less).
"""


def page(results: Results, command: str) -> str:
    """The whole page."""
    orders = "file order" if results.orders == 1 else f"{results.orders} shuffled orders"
    absent = "".join(f"\nNot here: {library} ({why}).\n" for library, why in results.absent.items())
    delayed, prompt = (five_mean(results, names).get(OURS) for names in (_delayed(), FIVE))
    late = ""
    if delayed is not None and prompt is not None:
        late = LATE.format(delayed=_short(delayed), less=prompt - delayed)
    return PAGE.format(
        orders=orders + (f", the first {results.limit:,} rows only" if results.limit else ""),
        table="\n".join(table(results)),
        notes="\n".join(f"- **{each.name}**: {each.note}." for each in results.data_sets() if each.note),
        versions=", ".join(f"{name} {version}" for name, version in results.versions.items()),
        absent=absent,
        late=late,
        command=command,
        costs="\n".join(costs(results)),
    )


def _delayed() -> list[str]:
    return [f"{name}-delayed" for name in FIVE]


def _goal(data_set: DataSet) -> str:
    return " / ".join("" if goal is None else f"≥ {_short(goal)}" for goal in data_set.goal)


def _five_text(five: dict[str, float], column: str) -> str:
    if column not in five:
        return ""
    text = _short(five[column])
    return f"**{text}**" if five[column] == max(five.values()) else text


def _cell_text(results: Results, data_set: DataSet, column: str) -> str:
    cells = results.cells.get((data_set.name, column))
    fixed = results.fixed.get(data_set.name, {}).get(column)
    texts = []
    for figure in data_set.figures:
        if cells:
            mean, sd = mean_and_sd(cells, figure)
            text = _short(mean) + (f" ± {_short(sd)}" if len(cells) > 1 else "")
            texts.append(f"**{text}**" if mean >= _best(results, data_set, figure) else text)
        elif fixed:
            texts.append(_short(fixed[figure]))
        else:
            return ""
    return " / ".join(texts)


def _best(results: Results, data_set: DataSet, figure: str) -> float:
    """Of those that learned: what is only known afterwards does not compete."""
    means = [mean_and_sd(cells, figure)[0] for (name, _), cells in results.cells.items() if name == data_set.name]
    return max(means, default=float("inf"))


def _spread(cells: Sequence[Cell], figure: str) -> dict[str, Any]:
    mean, sd = mean_and_sd(cells, figure)
    return {"mean": mean, "sd": sd, "per_order": [cell.figures[figure] for cell in cells]}


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(sum(found) / len(found))


def _short(value: float) -> str:
    """Three digits that tell, without a leading zero.

    >>> _short(0.8764), _short(0.03912), _short(3.2871), _short(0.0), _short(0.182)
    ('.876', '.0391', '3.29', '0', '.182')
    """
    if value == 0:
        return "0"
    digits = 2 if abs(value) >= 1 else 4 if abs(value) < 0.1 else 3
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"
