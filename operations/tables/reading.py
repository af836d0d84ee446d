"""What somebody says about how a file is to be read; what they leave open is found."""

from __future__ import annotations

from dataclasses import dataclass

DELIMITERS = ("\t", ";", "|", ",")
"""Those that are found, in order of preference where two fit alike: a comma is in every decimal comma as well."""

DAY_FIRST, MONTH_FIRST = "day-first", "month-first"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read; None: found by itself.

    Attributes
    ----------
    delimiter
        One of ``DELIMITERS``.
    encoding
        A name that Python knows.
    decimal
        The decimal mark: a point or a comma.
    dates
        What comes first in ``3/4/2024``: ``day-first`` or ``month-first``.
    header
        Whether the first row names the columns.
    keep
        Columns that are features in any case, though they look like ids, free text or the answer.
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    dates: str | None = None
    header: bool | None = None
    keep: tuple[str, ...] = ()


AS_FOUND = Reading()
