"""Rules: CEL expressions, compiled once, over variables that are looked up only when the rule names them.

A rule that cannot be evaluated for a visitor (a trait it compares is missing) does not hold; it is no error.
Cost: about 0.5 µs for a comparison, plus the conversion of the variables named.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import cel

from personalization.errors import InvalidInput

PLAIN_VARIABLES = frozenset(
    {"cart_value", "device", "event_count", "hour", "known", "n_orders", "segments", "weekday"}
)
"""Variables of few values (most carts are empty): what rules over them give is remembered. Besides these, single
traits (``traits.plan``), which are numbers, texts and booleans."""

_MAX_KNOWN = 1024
_ABSENT = object()
_TRAITS = re.compile(r"\btraits\b")
_TRAIT = re.compile(r"\btraits\.(\w+)")

Resolver: TypeAlias = Callable[[str], Any]
"""Gives a variable's value by name, None where there is none."""


def scope(resolve: Resolver) -> Any:
    """What rules are evaluated in: ``resolve`` is asked for each variable a rule names."""
    context = cel.Context()
    context.set_variable_resolver(resolve)
    return context


class Rule:
    """One compiled expression.

    Parameters
    ----------
    source
        The CEL expression.
    field
        Where it stands, for the error.
    variables
        The names it may use.

    Raises
    ------
    InvalidInput
        Where it does not parse or names an unknown variable.

    >>> Rule('size(segments) > 0', "when", {"segments"}).holds(scope({"segments": ["vip"]}.get))
    True
    >>> Rule('traits.age > 30', "when", {"traits"}).holds(scope({"traits": {}}.get))
    False
    """

    __slots__ = ("_known", "_program", "plain", "source", "variables")

    def __init__(self, source: str, field: str, variables: Collection[str]) -> None:
        try:
            self._program = cel.compile(source)
        except (ValueError, TypeError) as error:
            raise InvalidInput(field, _explain(source, str(error)), "bad_expression") from error
        self.source = source
        self.variables = frozenset(self._program.variables())
        unknown = sorted(self.variables - set(variables) - _bound_names(source))
        if unknown:
            raise InvalidInput(
                field, f"unknown name {unknown[0]!r}; {_nearest(unknown[0], variables)}", "unknown_name"
            )
        functions = {name for name in self._program.references()["functions"] if name.isidentifier()}
        for name in sorted(functions - FUNCTIONS):
            raise InvalidInput(field, f"unknown function {name!r}; {_nearest(name, FUNCTIONS)}", "unknown_name")
        self.plain = _plain(source, self.variables)
        self._known: dict[tuple[Any, ...], bool] = {}

    def holds_for(self, resolve: Resolver, scope: Callable[[], Any]) -> bool:
        """``holds``, remembered where the rule looks only at what has few values (``PLAIN_VARIABLES``).

        Looking it up costs a quarter of evaluating it (for traits, which CEL converts all of, a tenth), and most
        visitors share their answers.
        """
        if not self.plain:
            return self.holds(scope())
        values: list[Any] = []
        for name, trait in self.plain:
            value = resolve(name)
            if trait and value is not None:
                value = value.get(trait, _ABSENT)
            kind = type(value)
            values += (kind, tuple(value) if kind is list else value)  # to CEL 1, 1.0 and true are three things
        key = tuple(values)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[key] = self.holds(scope())
        return known

    def holds(self, scope: Any) -> bool:
        """Whether the rule is true; a rule that fails or gives no boolean does not hold."""
        try:
            return self._program.execute(scope) is True
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError):
            return False

    def number(self, scope: Any) -> float | None:
        """The rule's value as a finite number, else None."""
        value = self.value(scope)
        if isinstance(value, bool | int | float) and math.isfinite(value):
            return float(value)
        return None

    def text(self, scope: Any) -> str | None:
        """The rule's value as text, else None."""
        value = self.value(scope)
        if isinstance(value, bool) or value is None:
            return None
        return value if isinstance(value, str) else str(value) if isinstance(value, int) else None

    def value(self, scope: Any) -> Any:
        """The rule's value, None where it fails."""
        try:
            return self._program.execute(scope)
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError):
            return None


def _plain(source: str, variables: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """What decides the rule, as (variable, trait or nothing); empty where that may have many values."""
    if not variables - {"traits"} <= PLAIN_VARIABLES:
        return ()
    named = _TRAIT.findall(source)
    # Any other mention (`size(traits)`, `traits["plan"]`, even within a text) and the rule is not remembered.
    if len(named) != len(_TRAITS.findall(source)):
        return ()
    names = {(name, "") for name in variables - {"traits"}}
    return tuple(sorted(names | {("traits", trait) for trait in named if "traits" in variables}))


_SYNTAX_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): Syntax error: (.*)")
_UNEXPECTED = re.compile(
    r"(?:mismatched input|extraneous input|error at:|alternative at input) '(.*?)'(?: expecting|$)"
)
_QUOTED = re.compile(r"""(["']).*?\1""")
_OTHER_SPELLINGS = (
    (re.compile(r"\sand\s"), "write && for 'and'"),
    (re.compile(r"\sor\s"), "write || for 'or'"),
    (re.compile(r"(^|[\s(])not\s"), "write ! for 'not'"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "write == to compare"),
)


def _explain(source: str, reason: str) -> str:
    """What the parser stumbled over, and the spelling CEL has for it."""
    if not source.strip():
        return "is empty; write a CEL expression such as n_orders > 2, or leave it out"
    error = _SYNTAX_ERROR.search(reason)
    if error is None:
        return f"not a CEL expression: {reason.splitlines()[0] if reason else 'it does not parse'}"
    line, column, said = error.groups()
    where = f"line {line}, column {column}" if "\n" in source else f"column {column}"
    token = _UNEXPECTED.search(said)
    code = _QUOTED.sub("''", source)
    hint = next((f"; {spelt}" for spelling, spelt in _OTHER_SPELLINGS if spelling.search(code)), "")
    if token is None:
        what = said.split(" expecting ")[0].replace("'<EOF>'", "the end")
    elif token[1] == "<EOF>":
        return f"not a CEL expression: something is missing at the end{hint}"
    else:
        what = f"unexpected {token[1].strip()!r}"
    return f"not a CEL expression: {what} at {where}{hint}"


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"


def _bound_names(source: str) -> set[str]:
    # Names bound by macros (`xs.exists(x, x > 1)`) are reported as variables: the word before the first comma.
    names = set()
    for macro in ("all(", "exists(", "exists_one(", "map(", "filter("):
        start = 0
        while (start := source.find("." + macro, start)) >= 0:
            start += len(macro) + 1
            names.add(source[start:].split(",", 1)[0].strip())
    return names


FUNCTIONS = frozenset(
    {
        *("bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"),
        *("contains", "endsWith", "matches", "size", "startsWith"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth"),
        *("getHours", "getMilliseconds", "getMinutes", "getSeconds"),
    }
)
"""What rules may call, besides operators, ``has`` and the macros all, exists, exists_one, filter and map.

An unknown function would only fail when evaluated: the rule would never hold, and nobody would know why.
"""

EVENT_VARIABLES = frozenset({"event", "type", "properties", "traits", "context"})
"""What reward and affinity rules may name: the event and nothing of the visitor, so that its worth is its own."""

VISITOR_VARIABLES = frozenset(
    {
        "affinities",  # map of maps: affinities.category.shoes, decayed
        "cart",  # map product → value
        "cart_value",
        "consents",  # map purpose → bool
        "context",  # the request's, Segment-shaped
        "counts",  # map event → decayed count
        "days_since_first",
        "days_since_last",
        "device",  # "mobile" | "tablet" | "desktop" | "bot" | "unknown"
        "event_count",
        "hour",  # 0…23, UTC unless context.timezone says otherwise
        "known",  # registered
        "n_orders",
        "revenue",
        "scores",  # map conversion → how likely, 0…1
        "segments",  # list of names
        "session",  # number, n_events, n_views, seconds
        "traits",
        "weekday",  # 0 = Monday
    }
)
"""What segments and eligibility may name: the visitor and the request."""
