"""One side against another in one metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from personalization.catalog.sections.metrics import PROFIT
from personalization.evaluation.asymptotic import half_width, p_value_of
from personalization.evaluation.betting import (
    Counts,
    difference_of_shares,
    p_value_of_no_difference,
    ratio_of_shares,
)
from personalization.evaluation.experiment_report import Difference
from personalization.evaluation.power import detectable_amount, detectable_share
from personalization.evaluation.regression import Products, Pseudo, products, pseudo_outcomes
from personalization.evaluation.sides import Cell, Pair, means
from personalization.evaluation.strata import MetricSums, SideSums
from personalization.evaluation.wording import difference_words, duration_words, side_words

ALPHA = 0.05

LEAST_OF_A_SHARE = 100
"""Participants on each side before a share is compared: its interval is valid of any number, and says nothing."""

LEAST_OF_AN_AMOUNT = 1_000
"""Participants on each side before an amount is compared: its interval is valid of many."""

LEAST_THAT_COUNT = 30.0
"""As many participants of equal amounts, (Σy)²/Σy², make a side's sum before an amount is compared.

Of fewer the spread is not known yet: a side that the one large amount has not come to looks as if there were none.
"""

_NO_SPREAD = 1e-6
"""Amounts that spread by less than this share of their mean are the same for everybody, up to rounding."""

NARROWEST_AT = 50_000
"""Participants of an even split after whom an amount's interval is narrowest, by its own best."""


class Asked(NamedTuple):
    """What sides are compared in.

    Attributes
    ----------
    parts
        The amounts that it is made of, if it is made of others.
    """

    metric: str
    is_share: bool
    unit: str = ""
    parts: tuple[str, ...] = ()


class Comparison(NamedTuple):
    """Where sides are compared.

    Attributes
    ----------
    segment
        Of whom; empty: of everybody.
    cells
        Who was on either side, by split.
    alpha
        Of the interval: less where several are looked at.
    """

    pair: Pair
    segment: str
    cells: Sequence[Cell]
    horizon_ms: int
    alpha: float


def compare(asked: Asked, where: Comparison) -> Difference:
    """The difference with its interval, or a sentence that says what is missing."""
    said = Difference(
        metric=asked.metric,
        kind="share" if asked.is_share else "amount",
        side=where.pair.side,
        against=where.pair.against,
        unit="" if asked.is_share else asked.unit,
        segment=where.segment,
        n_side=round(sum(cell.side.n for cell in where.cells)),
        n_against=round(sum(cell.against.n for cell in where.cells)),
        level=1.0 - where.alpha,
    )
    if missing := _missing(asked, where, said):
        return msgspec.structs.replace(said, missing=missing)
    return _share(asked, where, said) if asked.is_share else _amount(asked, where, said)


def counts_of(cells: Sequence[Cell], metric: str) -> dict[float, Counts]:
    """Of a share, by the probability of the first side."""
    found: dict[float, Counts] = {}
    for cell in cells:
        before = found.get(cell.share, Counts(0, 0, 0, 0))
        numbers = (
            cell.side.n,
            _sums(cell.side, metric).total,
            cell.against.n,
            _sums(cell.against, metric).total,
        )
        found[cell.share] = Counts(*(one + round(other) for one, other in zip(before, numbers, strict=True)))
    return found


def products_of(cells: Sequence[Cell], metric: str) -> list[Products]:
    """Of an amount, split by split."""

    def of(side: SideSums) -> MetricSums:
        return _sums(side, metric)

    return [
        Products(
            cell.share,
            *(
                products(
                    side.n,
                    of(side).before,
                    of(side).before_squares,
                    of(side).total,
                    of(side).squares,
                    of(side).products,
                )
                for side in (cell.side, cell.against)
            ),
        )
        for cell in cells
    ]


def _share(asked: Asked, where: Comparison, said: Difference) -> Difference:
    counts = counts_of(where.cells, asked.metric)
    mean_side, mean_against = means(where.cells, asked.metric)
    found = difference_of_shares(counts, where.alpha)
    p_value = p_value_of_no_difference(counts)
    relative: tuple[float | None, float | None, float | None] = (None, None, None)
    if mean_against > 0.0:
        low, high = ratio_of_shares(counts, where.alpha)
        relative = _relative(mean_side / mean_against, low, high)
    n_by_share = {share: float(each.n_treated + each.n_control) for share, each in counts.items()}
    twice = {share: 2.0 * n for share, n in n_by_share.items()}
    is_base = 0.0 < mean_against < 1.0
    return _with_words(
        _with_difference(said, mean_side, mean_against, found.low, found.high, p_value, where.alpha),
        relative,
        detectable_share(n_by_share, mean_against, where.alpha) if is_base else None,
        detectable_share(twice, mean_against, where.alpha) if is_base else None,
    )


def _amount(asked: Asked, where: Comparison, said: Difference) -> Difference:
    seen = products_of(where.cells, asked.metric)
    pseudo, plain = pseudo_outcomes(seen), pseudo_outcomes(seen, use_before=False)
    n, side, against = float(pseudo.n), float(pseudo.side), float(pseudo.against)
    variance, variance_before = float(pseudo.variance()), float(plain.variance())
    sd = math.sqrt(variance)
    if sd <= _NO_SPREAD * max(abs(side), abs(against)):
        missing = f"“{asked.metric}” is the same for everybody: there is nothing to compare."
        return msgspec.structs.replace(said, missing=missing)
    half = half_width(n, sd, where.alpha, NARROWEST_AT)
    p_value = p_value_of(side - against, n, sd, where.alpha, NARROWEST_AT)
    found = _with_difference(
        said, side, against, side - against - half, side - against + half, p_value, where.alpha
    )
    found = msgspec.structs.replace(found, variance_reduction=max(0.0, 1.0 - variance / variance_before))
    factor = half_width(n, 1.0, where.alpha, NARROWEST_AT)
    relative = _relative(side / against, *_fieller(pseudo, factor)) if against > 0.0 else (None, None, None)
    detectable, twice = (
        detectable_amount(times * n, sd, against, where.alpha, NARROWEST_AT) for times in (1.0, 2.0)
    )
    return _with_words(found, relative, detectable, twice)


def _with_difference(
    said: Difference, side: float, against: float, low: float, high: float, p_value: float, alpha: float
) -> Difference:
    """With an interval that holds the difference of the means: wider than it would be, if need be."""
    difference = side - against
    low, high = min(low, difference), max(high, difference)
    p_value = min(1.0, p_value * ALPHA / alpha)
    if low <= 0.0 <= high:
        p_value = max(p_value, ALPHA)
    return msgspec.structs.replace(
        said,
        mean_side=side,
        mean_against=against,
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
    )


def _relative(ratio: float, low: float, high: float) -> tuple[float | None, float | None, float | None]:
    if not math.isfinite(high):
        return None, None, None
    return ratio - 1.0, min(low, ratio) - 1.0, max(high, ratio) - 1.0


def _fieller(pseudo: Pseudo, factor: float) -> tuple[float, float]:
    """The ratios u at which (side − u · against)² ≤ factor² · variance(u); infinite if they have no end."""
    side, against, c2 = float(pseudo.side), float(pseudo.against), factor**2
    a = against**2 - c2 * float(pseudo.variance_against)
    b = side * against - c2 * float(pseudo.covariance)
    c = side**2 - c2 * float(pseudo.variance_side)
    if a <= 1e-12 * against**2:
        return -math.inf, math.inf
    root = math.sqrt(max(0.0, b * b - a * c))
    return (b - root) / a, (b + root) / a


def _with_words(
    found: Difference,
    relative: tuple[float | None, float | None, float | None],
    detectable: float | None,
    detectable_twice: float | None,
) -> Difference:
    point, low, high = relative
    found = msgspec.structs.replace(
        found, relative=point, relative_low=low, relative_high=high, detectable=detectable
    )
    return msgspec.structs.replace(found, words=difference_words(found, detectable_twice))


def _missing(asked: Asked, where: Comparison, said: Difference) -> str:
    """Why nothing can be said, and what to do; empty: something can."""
    of_whom = f" in the segment “{where.segment}”" if where.segment else ""
    least = LEAST_OF_A_SHARE if asked.is_share else LEAST_OF_AN_AMOUNT
    n, thin = min((said.n_side, where.pair.side), (said.n_against, where.pair.against))
    if n < least:
        kind = "a share" if asked.is_share else "an amount"
        only = f"{'Only ' if n else ''}{f'{n:,}' if n else 'None'} of {side_words(thin)}{of_whom}"
        have = "has" if n == 1 else "have"
        return (
            f"{only} {have} been watched for {duration_words(where.horizon_ms)} yet, and comparing {kind} takes "
            f"{least:,} on each side: wait, or give that side a larger share."
        )
    sides = [_of(cell, asked.metric) for cell in where.cells]
    if not any(sums.squares for pair in sides for sums in pair):
        if asked.metric == PROFIT:
            return f"Nothing has been earned or spent{of_whom} yet: wait, or check that orders are sent."
        return f"“{asked.metric}” has not come of anybody{of_whom} yet: check that its event is sent, or wait."
    if not asked.is_share:
        parts = asked.parts or (asked.metric,)
        effective, thin = min(
            (min(_effective(where.cells, part, at) for part in parts), name)
            for at, name in enumerate((where.pair.side, where.pair.against))
        )
        if effective < LEAST_THAT_COUNT:
            return (
                f"Too few of {side_words(thin)}{of_whom} count for anything in “{asked.metric}” for its spread to "
                "be known: wait, or lower its `cap` if a few large amounts make the most of it."
            )
    return ""


def _effective(cells: Sequence[Cell], metric: str, at: int) -> float:
    sums = [_of(cell, metric)[at] for cell in cells]
    total, squares = sum(each.total for each in sums), sum(each.squares for each in sums)
    return total**2 / squares if squares else 0.0


def _of(cell: Cell, metric: str) -> tuple[MetricSums, MetricSums]:
    return _sums(cell.side, metric), _sums(cell.against, metric)


def _sums(side: SideSums, metric: str) -> MetricSums:
    return side.metrics.get(metric) or _NOTHING


_NOTHING = MetricSums()
