"""What the treated brought beyond what they would have brought on the control, in money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from personalization.catalog.sections.metrics import PROFIT, CompiledMetric, is_reward
from personalization.catalog.split import CONTROL
from personalization.evaluation.experiment_report import TREATED, Difference, Money
from personalization.evaluation.sides import Cell
from personalization.evaluation.wording import incremental_words, money_words, number_words


def money_of(
    metrics: Mapping[str, CompiledMetric], differences: Sequence[Difference], cells: Sequence[Cell], unit: str
) -> list[Money]:
    """Revenue, profit, cost, cost per conversion and return on spend, where the catalog gives margins or costs.

    Parameters
    ----------
    differences
        The report's; those of everybody between the treated and the control are looked at.
    cells
        Of the treated and the control.
    unit
        Of costs and profit.
    """
    found = {
        each.metric: each
        for each in differences
        if (each.side, each.against, each.segment) == (TREATED, CONTROL, "")
    }
    n, cost = sum(cell.side.n for cell in cells), _incremental_cost(cells)
    said = [
        _total("incremental revenue", found[name], n)
        for name, metric in metrics.items()
        if name in found and not metric.is_share and (metric.margin or 0.0) > 0.0
    ]
    profit = found.get(PROFIT)
    if profit is not None:
        said.append(_total("incremental profit", profit, n))
    if not any(cell.side.cost or cell.against.cost for cell in cells):
        return said
    said.append(
        Money(
            name="cost",
            metric="",
            unit=unit,
            value=cost,
            low=None,
            high=None,
            words=money_words("What was shown to the treated cost", cost, None, None, unit)[:-1]
            + " more than what they would have been shown held out; that is counted, not estimated.",
        )
    )
    said += [
        _per_conversion(each, n, cost, unit)
        for name, each in found.items()
        if each.kind == "share" and not is_reward(name)
    ]
    if profit is not None:
        said.append(_return_on_spend(profit, n, cost))
    return said


def _total(name: str, found: Difference, n: float) -> Money:
    """A mean difference times everybody who was treated."""
    if found.difference is None or found.low is None or found.high is None:
        return _nothing(name, found.metric, found.unit, found.missing)
    value, low, high = (n * each for each in (found.difference, found.low, found.high))
    words = incremental_words(name.removeprefix("incremental "), value, low, high, found.unit)
    return Money(name=name, metric=found.metric, unit=found.unit, value=value, low=low, high=high, words=words)


def _per_conversion(found: Difference, n: float, cost: float, unit: str) -> Money:
    name = "cost per conversion"
    if found.difference is None or found.low is None or found.high is None:
        return _nothing(name, found.metric, unit, found.missing)
    if cost <= 0.0:
        return _nothing(
            name, found.metric, unit, "The treated cost no more than those held out: no cost to share out."
        )
    if found.low <= 0.0:
        missing = (
            f"Whether the treated brought any “{found.metric}” more cannot be told yet, so that none of it has a "
            "price: wait for more participants."
        )
        return _nothing(name, found.metric, unit, missing)
    value, low, high = (cost / (n * each) for each in (found.difference, found.high, found.low))
    words = money_words(f"Each “{found.metric}” that would not have come otherwise cost", value, low, high, unit)
    return Money(name=name, metric=found.metric, unit=unit, value=value, low=low, high=high, words=words)


def _return_on_spend(profit: Difference, n: float, cost: float) -> Money:
    """Incremental profit before cost, over the cost."""
    name = "return on spend"
    if profit.difference is None or profit.low is None or profit.high is None:
        return _nothing(name, PROFIT, "", profit.missing)
    if cost <= 0.0:
        return _nothing(
            name, PROFIT, "", "The treated cost no more than those held out: nothing was spent on them."
        )
    value, low, high = ((n * each + cost) / cost for each in (profit.difference, profit.low, profit.high))
    step = 0.01 if high - low < 1.0 else 0.1
    brought, least, most = (number_words(each, step) for each in (value, low, high))
    words = f"Each unit spent brought {brought} before its cost (between {least} and {most})"
    words += ": whether it paid cannot be told yet." if low <= 1.0 <= high else "."
    return Money(name=name, metric=PROFIT, unit="", value=value, low=low, high=high, words=words)


def _incremental_cost(cells: Sequence[Cell]) -> float:
    """What was shown to the treated cost, less what as many of those held out cost."""
    treated = sum(cell.side.n for cell in cells)
    weight = sum(cell.share * cell.against.n for cell in cells)
    held_out = sum(cell.share * cell.against.cost for cell in cells) / weight if weight else 0.0
    return sum(cell.side.cost for cell in cells) - treated * held_out


def _nothing(name: str, metric: str, unit: str, missing: str) -> Money:
    return Money(name=name, metric=metric, unit=unit, value=None, low=None, high=None, missing=missing)
