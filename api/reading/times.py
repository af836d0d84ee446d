"""When an event happened: the client's word, as far as it can be believed.

``sentAt`` tells how wrong the client's clock is, and how long the request was on its way; which of the two, only
the size of the difference says. Up to five minutes behind us are transit and move nothing. Ahead of us, or further
behind, is a wrong clock, and by as much the event is moved.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from api.reading.json_schema import described
from api.reading.notice import Notice
from personalization.errors import InvalidInput

WireTime: TypeAlias = Annotated[
    str | int | float | None,
    described({"type": ["string", "number", "null"], "description": "ISO 8601, or milliseconds since 1970."}),
]

TRANSIT_MS = 5 * 60_000
"""Retries included; a clock set by hand is seldom further off, and decay does not feel five minutes."""

MAX_PAST_MS = 24 * 3_600_000
"""A client's clock is believed this far back; imports by server key may be older."""

SECONDS_BELOW = 100_000_000_000
"""Numbers below it are seconds: as milliseconds they lie before March 1973, as seconds they reach the year 5138."""

_FIRST_MS = -62_135_596_800_000
_LAST_MS = 253_402_300_799_999
"""Beyond them no date can be written."""

TOLD_MS = 1_000
"""An event moved by less is not told of: clocks of machines in good order differ by that."""

_HOW = "send ISO 8601, e.g. 2026-01-31T12:00:00.000Z, or milliseconds since 1970"


def occurred_at_ms(
    timestamp: WireTime,
    sent_at: WireTime,
    received_at_ms: int,
    notices: list[Notice],
    *,
    field: str,
    sent_field: str,
    imports: bool,
) -> int:
    """The client's time, corrected by how wrong its clock is, within what is believable.

    Parameters
    ----------
    notices
        Gets one where the event was moved.
    imports
        Sent by server key: may be old, and needs no correction.

    Raises
    ------
    InvalidInput
        Where a time is none, or of another unit.
    """
    if timestamp is None:
        return received_at_ms
    at_ms = time_ms(timestamp, field)
    at_ms = _plausible(at_ms, timestamp, field, notices, imports=imports)
    if sent_at is not None and not imports:
        sent_ms = _plausible(time_ms(sent_at, sent_field), sent_at, sent_field, notices, imports=False)
        lag_ms = received_at_ms - sent_ms
        if not 0 <= lag_ms <= TRANSIT_MS:
            at_ms += lag_ms
            if abs(lag_ms) >= TOLD_MS:
                side = "ahead of" if lag_ms < 0 else "behind"
                notices.append(
                    Notice(
                        field,
                        "clock_corrected",
                        f"was shifted by {_seconds(lag_ms)}: so much is the sender's clock {side} ours, by sentAt",
                    )
                )
    if at_ms > received_at_ms:
        if at_ms - received_at_ms >= TOLD_MS:
            notices.append(
                Notice(
                    field,
                    "in_future",
                    f"lies {_seconds(at_ms - received_at_ms)} after its receipt, and counts as of its receipt",
                )
            )
        return received_at_ms
    earliest_ms = received_at_ms - MAX_PAST_MS
    if at_ms < earliest_ms and not imports:
        if earliest_ms - at_ms >= TOLD_MS:
            notices.append(
                Notice(
                    field,
                    "too_old",
                    "lies more than 24 h before its receipt, and counts as of 24 h before; import older events "
                    "with a server key",
                )
            )
        return earliest_ms
    return at_ms


def time_ms(value: str | int | float, field: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 text or a number of them, in the years 1 to 9999 in UTC.

    Raises
    ------
    InvalidInput
        Where it is no time, or of another year.
    """
    at_ms = _read_ms(value)
    if at_ms is None:
        raise InvalidInput(field, f"is no time; {_HOW}", "bad_time")
    if not _FIRST_MS <= at_ms <= _LAST_MS:
        raise InvalidInput(field, "lies outside the years 1 to 9999 in UTC; send a time within them", "bad_time")
    return at_ms


def _read_ms(value: str | int | float) -> int | None:
    if not isinstance(value, str):
        return int(value) if abs(value) < 1e15 else None
    try:
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _plausible(at_ms: int, sent: str | int | float, field: str, notices: list[Notice], *, imports: bool) -> int:
    """The time, if it may be meant: history of a server's is only asked about."""
    if at_ms < 0:
        code, what, taken = "before_1970", "lies before 1970, as no event does", "it counts as of 1970"
    elif at_ms < SECONDS_BELOW and not isinstance(sent, str):
        code, what, taken = "looks_like_seconds", "looks like seconds", "it was taken as milliseconds"
    else:
        return at_ms
    if not imports:
        raise InvalidInput(field, f"{what}; {_HOW}", code)
    notices.append(Notice(field, code, f"{what}: {taken}; {_HOW}"))
    return max(0, at_ms)


def _seconds(ms: int) -> str:
    return f"{abs(ms) / 1000:.0f} s"
