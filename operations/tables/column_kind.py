"""What a column is: numbers, dates, categories, or nothing that a model could use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from operations.tables.column_profile import MAX_DISTINCT, ColumnProfile
from operations.tables.dates import COMPACT, MILLISECONDS, SECONDS, STYLES, TIME
from operations.tables.numbers import COMMA, POINT
from operations.tables.reading import DAY_FIRST, MONTH_FIRST, Reading

MIN_CELLS = 20
"""In fewer rows, being different in every one means nothing."""

_NEARLY_ALL = 0.9
_DATES = 0.95
_FREE_TEXT_BLANKS, _FREE_TEXT_DIFFERENT = 3, 0.5
_MIN_IDS = 50
_ID_DIFFERENT = 0.1
_ID = re.compile(
    r"(?:^|[^a-z])(?:ids?|uuid|guid|key|no|e-?mail|token|hash)\.?$|(?:nr|nummer|number)\.?$"
    r"|(?:user|customer|client|visitor|session|order|kunden|bestell|device|cookie|transaction|message|event|request)id$",
    re.IGNORECASE,
)
_CAMEL_ID = re.compile(
    r"(?:^|[^a-z])(?:ids?|uuid|guid|key|no|e-?mail|token|hash)\.?$|(?:nr|nummer|number)\.?$"
    r"|(?:user|customer|client|visitor|session|order|kunden|bestell|device|cookie|transaction|message|event|request)id$",
    re.IGNORECASE,
)
_CAMEL_ID = re.compile(r".*[a-z](?:Id|ID|Nr)$")
_CLOCK_NAME = re.compile(r"time|date|stamp|zeit|datum|created|updated|_at$|^ts$", re.IGNORECASE)
_SECONDS_SINCE_2000 = 946_684_800.0
_SECONDS_UNTIL_2060 = 2_840_140_800.0


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """How a column's cells become features.

    Attributes
    ----------
    mark
        Decimal mark of its numbers, as people write them; None: a cell is a number where Python reads one.
    style
        Of its dates; None: it has none.
    has_times
        Whether its dates say a time of day.
    is_code
        Every cell is a category, also one of digits alone.
    left_out
        Why it is no feature; empty where it is one.
    note
        What to say about it otherwise.
    """

    mark: str | None = None
    style: str | None = None
    has_times: bool = False
    is_code: bool = False
    left_out: str = ""
    note: str = ""


def kinds_of(profiles: Mapping[str, ColumnProfile], said: Reading, delimiter: str) -> dict[str, ColumnKind]:
    """The kind of each column by its name."""
    marks = _marks(profiles, said)
    house = said.decimal or _of_most(marks)
    dates_by = said.dates or _day_or_month(profiles)
    return {
        name: _kind(name, profile, marks[name], house, dates_by, said, delimiter)
        for name, profile in profiles.items()
    }


def _kind(
    name: str,
    profile: ColumnProfile,
    own_mark: str | None,
    house: str | None,
    dates_by: str | None,
    said: Reading,
    delimiter: str,
) -> ColumnKind:
    if not profile.n:
        return ColumnKind(left_out="is empty in every row")
    style, note = _date_style(name, profile, dates_by, house, delimiter)
    if style is not None:
        return ColumnKind(
            style=style, has_times=profile.n_clocks > 0 or style in (SECONDS, MILLISECONDS), note=note
        )
    kept = name in said.keep
    if not kept and (reason := _no_feature(name, profile)):
        return ColumnKind(left_out=reason)
    if _is_code(profile):
        return ColumnKind(is_code=True, note="holds numbers with leading zeros: taken for codes, each a category")
    mark = own_mark or house or (COMMA if delimiter == ";" and profile.n_float < profile.n else POINT)
    if profile.n_numbers[mark] < _NEARLY_ALL * profile.n or (mark == POINT and profile.n_float == profile.n):
        note = ""
        if profile.n_ambiguous and house is None and delimiter != "," and profile.n_float == profile.n:
            note = _which(profile.ambiguous, POINT)
        return ColumnKind(note=note)
    note = _which(profile.ambiguous, mark) if profile.n_ambiguous and own_mark is None else ""
    return ColumnKind(mark=mark, note=note)


def _which(example: str, mark: str) -> str:
    is_thousands = (mark == COMMA) == ("." in example)
    other = POINT if mark == COMMA else COMMA
    how = "thousands" if is_thousands else "three decimals"
    return f"writes {example}, which is read as {how} (--decimal {other} if it is not)"


def _marks(profiles: Mapping[str, ColumnProfile], said: Reading) -> dict[str, str | None]:
    """The decimal mark that each column's own cells show."""
    found: dict[str, str | None] = {}
    for name, profile in profiles.items():
        clear = profile.n_marks
        has_numbers = profile.n and max(profile.n_numbers.values(), default=0) >= _NEARLY_ALL * profile.n
        found[name] = _of_more(clear[POINT], clear[COMMA]) if has_numbers and said.decimal is None else None
    return found


def _of_most(marks: Mapping[str, str | None]) -> str | None:
    values = list(marks.values())
    return _of_more(values.count(POINT), values.count(COMMA))


def _of_more(n_points: int, n_commas: int) -> str | None:
    if not n_points and not n_commas:
        return None
    return POINT if n_points >= n_commas else COMMA


def _day_or_month(profiles: Mapping[str, ColumnProfile]) -> str | None:
    """What comes first in the dates of the column that shows it."""
    found = {
        more
        for profile in profiles.values()
        for more, other in ((DAY_FIRST, MONTH_FIRST), (MONTH_FIRST, DAY_FIRST))
        if profile.n_styles[more] >= _DATES * profile.n > profile.n_styles[other]
    }
    return found.pop() if len(found) == 1 else None


def _date_style(
    name: str, profile: ColumnProfile, dates_by: str | None, house: str | None, delimiter: str
) -> tuple[str | None, str]:
    fitting = [style for style in STYLES if profile.n_styles[style] >= _DATES * profile.n]
    if fitting == [COMPACT] and profile.n_styles[COMPACT] < profile.n:
        fitting = []  # numbers of eight digits, most of which are dates by chance
    if DAY_FIRST in fitting and MONTH_FIRST in fitting:
        if profile.n_styles[DAY_FIRST] != profile.n_styles[MONTH_FIRST] and dates_by is None:
            more = max((DAY_FIRST, MONTH_FIRST), key=lambda style: profile.n_styles[style])
            return more, f"holds dates, read {more}"
        chosen = dates_by or (DAY_FIRST if house == COMMA or delimiter == ";" else MONTH_FIRST)
        other = MONTH_FIRST if chosen == DAY_FIRST else DAY_FIRST
        return chosen, f"holds dates, read {chosen} (they could be {other} as well: --dates {other})"
    if fitting:
        style = fitting[0]
        said = f"read {style}" if style in (DAY_FIRST, MONTH_FIRST) else f"read as {style}"
        return style, "holds times of day" if style == TIME else f"holds dates, {said}"
    follows_time = (profile.is_rising and len(profile.texts) > 1) or _CLOCK_NAME.search(name)
    if profile.n_float == profile.n and follows_time:
        for style, per_second in ((SECONDS, 1.0), (MILLISECONDS, 1_000.0)):
            if _SECONDS_SINCE_2000 <= profile.low / per_second <= profile.high / per_second <= _SECONDS_UNTIL_2060:
                return style, f"holds times, read as {style}"
    return None, ""


def _is_code(profile: ColumnProfile) -> bool:
    return profile.n_padded > 0 and profile.n_whole == profile.n


def _no_feature(name: str, profile: ColumnProfile) -> str:
    """Why a column tells a model nothing; empty if it may."""
    if profile.n < MIN_CELLS:
        return ""
    n_texts, different = len(profile.texts), profile.different
    is_text = _is_code(profile) or max(profile.n_numbers.values(), default=0) < (1 - _NEARLY_ALL) * profile.n
    is_whole = profile.n_whole == profile.n
    looks_like_id = bool(_ID.search(name) or _CAMEL_ID.fullmatch(name))
    if is_text and profile.n_blanks >= _FREE_TEXT_BLANKS * profile.n and different >= _FREE_TEXT_DIFFERENT:
        return "is free text"
    if (is_text and different >= _NEARLY_ALL) or (
        is_whole and different == 1.0 and (looks_like_id or profile.is_running)
    ):
        return "is different in every row" if different == 1.0 else "is different in nearly every row"
    if (is_text or is_whole) and looks_like_id and n_texts >= _MIN_IDS and different >= _ID_DIFFERENT:
        more = "more than " if n_texts >= MAX_DISTINCT else ""
        return f"is an id ({more}{n_texts:,} different ones)"
    return ""
