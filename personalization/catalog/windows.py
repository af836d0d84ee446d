"""Exact windows in rules: how often, how much, how long ago.

``count("Pricing Viewed", within="7d") >= 3``, ``sum("Ordered", of="properties.revenue", within="30d") > 9``,
``since("Login") > duration("14d")``, ``last("Login") > timestamp("2026-01-01T00:00:00Z")``,
``never("Order Completed")``. CEL knows neither arguments by name nor a visitor's past, so each comparison becomes
one variable of the rule, which is true, false or, while the window does not reach back far enough, nothing.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal as OneOf
from typing import NamedTuple, TypeAlias

from personalization.bounded import short_hash
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import Binary, Call, Keyword, Literal, Name, Node, replaced, text_of, walk
from personalization.catalog.duration import read_duration_ms
from personalization.features import MAX_MAGNITUDE

MAX_TIMES = 32
"""Times kept for one event: a count is compared with at most one less."""

MAX_AMOUNTS = 64
"""Amounts kept for one sum; of more the sum is known to be no less than theirs."""

FUNCTIONS = frozenset({"count", "last", "never", "since", "sum"})

Kind: TypeAlias = OneOf["count", "last", "since", "sum"]

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
COMPARISONS = frozenset(_MIRRORED)

_KEYWORDS = {
    "count": {"within", "where"},
    "sum": {"within", "where", "of"},
    "never": {"within", "where"},
    "last": {"where"},
    "since": {"where"},
}
_EXAMPLES = {
    "count": 'count("Pricing Viewed", within="7d") >= 3',
    "sum": 'sum("Order Completed", of="properties.revenue", within="30d") > 100',
    "since": 'since("Login") > duration("14d")',
    "last": 'last("Login") > timestamp("2026-01-01T00:00:00Z")',
    "never": 'never("Order Completed")',
}


class Series(NamedTuple):
    """What of a visitor's past a window looks at: an event, and of those the ones that hold ``where``.

    Attributes
    ----------
    where
        CEL over the event; empty: all of them.
    of
        Dotted path of the amount in the event; empty: times alone.
    """

    event: str
    where: str = ""
    of: str = ""

    @property
    def id(self) -> bytes:
        """Eight bytes that stand for it in states."""
        return short_hash("\x1f".join(self))


def shown_key(name: str) -> bytes:
    """The key under which it is kept when something was shown whose cap looks at a length of time.

    Parameters
    ----------
    name
        Of what the cap counts (``catalog.caps``).
    """
    return short_hash(f"shown\x1f{name}")


@dataclass(frozen=True)
class Window:
    """One comparison: ``kind(series) operator constant``.

    Attributes
    ----------
    constant
        A number of events, an amount, milliseconds, or milliseconds since 1970.
    within_ms
        How far back it looks; None: to the beginning.
    """

    kind: Kind
    series: Series
    operator: str
    constant: float
    within_ms: int | None

    @functools.cached_property
    def variable(self) -> str:
        """The name that stands for it in the rule."""
        text = f"{self.kind} {self.series.id.hex()} {self.operator} {self.constant!r} {self.within_ms}"
        return f"window_{short_hash(text).hex()}"

    @property
    def runs_on(self) -> bool:
        """Whether time alone can change it."""
        return self.kind == "since" or self.within_ms is not None

    @property
    def turned_by_an_event(self) -> bool | None:
        """What another event can make the comparison: true (True), false (False), or either (None)."""
        if self.kind == "count" and self.operator == "==" and self.constant == 0:
            return False
        turns = {">=": True, ">": True, "<": False, "<=": False}.get(self.operator)
        if self.kind == "since":
            return None if turns is None else not turns
        return turns

    @property
    def n_kept(self) -> int:
        """How many of the latest events have to be kept to tell."""
        if self.kind == "sum":
            return MAX_AMOUNTS
        return int(self.constant) + 1 if self.kind == "count" else 1


def read_windows(tree: Node) -> tuple[Node, tuple[Window, ...]]:
    """The windows of a rule, and the rule with a variable in the place of each.

    Raises
    ------
    Unreadable
        If one cannot be kept, with the remedy.

    >>> rule, windows = read_windows(parse('known && count("Viewed", within="7d") >= 3'))
    >>> text_of(rule) == f"known && {windows[0].variable}", windows[0].n_kept
    (True, 4)
    """
    found: list[Window] = []

    def replacement(node: Node) -> Node | None:
        window = _window_of(node)
        if window is not None:
            found.append(window)
            return Name(window.variable)
        if _is_window(node):
            assert isinstance(node, Call)
            raise Unreadable(_no_constant(node))
        if isinstance(node, Call) and any(isinstance(each, Keyword) for each in node.arguments):
            close = difflib.get_close_matches(node.function, FUNCTIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"those that do: {', '.join(sorted(FUNCTIONS))}"
            raise Unreadable(f"{node.function} takes nothing by name; {hint}")
        return None

    return replaced(tree, replacement), tuple(dict.fromkeys(found))


def has_windows(tree: Node) -> bool:
    """Whether a rule looks at windows, or tries to."""
    return any(isinstance(node, Keyword) or _is_window(node) for node in walk(tree))


def windows_of(rules: Iterable[str]) -> Iterator[Window]:
    """The windows of some rules; those that cannot be read are skipped: they are refused elsewhere."""
    for rule in rules:
        try:
            yield from read_windows(parse(rule))[1]
        except Unreadable:
            continue


def _is_window(node: Node) -> bool:
    return isinstance(node, Call) and node.target is None and node.function in FUNCTIONS


def _window_of(node: Node) -> Window | None:
    match node:
        case Call(None, "never", _):
            series, within_ms = series_of(node)
            return Window("count", series, "==", 0, within_ms)
        case Binary(operator, Call() as call, constant) if operator in _MIRRORED and _is_window(call):
            return _compared(call, operator, constant)
        case Binary(operator, constant, Call() as call) if operator in _MIRRORED and _is_window(call):
            return _compared(call, _MIRRORED[operator], constant)
    return None


def _compared(call: Call, operator: str, constant: Node) -> Window:
    if call.function == "never":
        raise Unreadable(f"{text_of(call)} is true or false already; write it, or !{text_of(call)}")
    series, within_ms = series_of(call)
    kind: Kind = call.function  # type: ignore[assignment]  # one of FUNCTIONS but never
    value = _CONSTANTS[kind](constant)
    if value is None:
        raise Unreadable(_no_constant(call))
    if kind == "count" and not 0 <= value < MAX_TIMES:
        raise Unreadable(f"{text_of(call)} is compared with {value:g}; a count is kept up to {MAX_TIMES - 1}")
    return Window(kind, series, operator, value, within_ms)


def _no_constant(call: Call) -> str:
    return f"{text_of(call)} has to be compared with a constant, such as {_EXAMPLES[call.function]}"


def series_of(call: Call) -> tuple[Series, int | None]:
    """What ``count("Viewed", within="7d")`` and its like look at, and how far back.

    Raises
    ------
    Unreadable
        If an argument is missing, or makes no sense.
    """
    event, *keywords = call.arguments or (Name(""),)
    if not (isinstance(event, Literal) and isinstance(event.value, str) and event.value):
        raise Unreadable(f"{call.function} needs the name of an event first, such as {_EXAMPLES[call.function]}")
    given: dict[str, str] = {}
    for each in keywords:
        if not isinstance(each, Keyword) or each.name not in _KEYWORDS[call.function]:
            known = ", ".join(f"{name}=" for name in sorted(_KEYWORDS[call.function]))
            raise Unreadable(f"{call.function} does not know {text_of(each)}; behind the event it takes {known}")
        if not (isinstance(each.value, Literal) and isinstance(each.value.value, str)):
            raise Unreadable(f"{each.name} needs a text in quotes, not {text_of(each.value)}")
        if each.name in given:
            raise Unreadable(f"{call.function} is given {each.name} twice")
        given[each.name] = each.value.value
    within_ms = None
    if "within" in given:
        within_ms = read_duration_ms(given["within"])
        if not within_ms:
            raise Unreadable(f"within={given['within']!r} is no length of time; write 30m, 12h or 7d")
    elif call.function in ("count", "sum"):
        raise Unreadable(f"{call.function} needs within=, such as {_EXAMPLES[call.function]}")
    if call.function == "sum" and not given.get("of"):
        raise Unreadable(f"sum needs of=, the amount's path in the event, such as {_EXAMPLES['sum']}")
    where = ""
    if "where" in given:
        try:
            where = text_of(parse(given["where"]))
        except Unreadable as error:
            raise Unreadable(f"where={given['where']!r}: {error}") from error
    return Series(event.value, where, given.get("of", "")), within_ms


def _number(node: Node) -> float | None:
    match node:
        case Literal(int() | float() as value) if not isinstance(value, bool) and abs(value) <= MAX_MAGNITUDE:
            return value
    return None


def _whole(node: Node) -> float | None:
    value = _number(node)
    return value if value is not None and value == int(value) else None


def _duration(node: Node) -> float | None:
    match node:
        case Call(None, "duration", (Literal(str(text)),)):
            return read_duration_ms(text)
    return None


def _moment(node: Node) -> float | None:
    match node:
        case Call(None, "timestamp", (Literal(str(text)),)):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                return None
            return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return None


_CONSTANTS = {"count": _whole, "sum": _number, "since": _duration, "last": _moment}
