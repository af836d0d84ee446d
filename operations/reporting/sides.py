"""The sides of an experiment as people call them."""

from __future__ import annotations

from personalization.catalog.split import AS_WRITTEN, CONTROL
from personalization.evaluation.experiment_report import TREATED, Difference


def side_name(side: str) -> str:
    """What a side is called.

    >>> side_name("control"), side_name(""), side_name("treated"), side_name("bold")
    ('held out', 'as written', 'personalised', 'bold')
    """
    return {CONTROL: "held out", AS_WRITTEN: "as written", TREATED: "personalised"}.get(side, side)


def compared(difference: Difference) -> str:
    """Who is compared with whom."""
    return f"{side_name(difference.side)} against {side_name(difference.against)}"


def is_told_apart(difference: Difference) -> bool:
    """Whether the interval leaves out that there is no difference."""
    low, high = difference.low, difference.high
    return difference.difference is not None and ((low or 0.0) > 0.0 or (high or 0.0) < 0.0)
