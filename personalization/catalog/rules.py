"""Rules: CEL expressions, compiled once, over variables that are looked up only when the rule names them.

A rule that cannot be answered for a visitor (a trait it compares is missing) does not hold; it is no error. One
that puts together what does not go together (a number with a text) does not hold either, and is counted:
somebody has to mend it. Cost: about 0.5 µs for a comparison, plus the conversion of what is named of each variable.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import cel

from personalization.catalog import cel_errors, cel_numbers, cel_parser, cel_tree
from personalization.catalog.cel_reads import Reads, pruned, reads_of
from personalization.catalog.cel_tree import Call
from personalization.catalog.vocabulary import EVENT_VARIABLES, FUNCTIONS, PLAIN_VARIABLES, VISITOR_VARIABLES
from personalization.catalog.windows import FUNCTIONS as WINDOW_FUNCTIONS
from personalization.catalog.windows import Window, has_windows, read_windows
from personalization.errors import InvalidInput

__all__ = [
    "EVENT_VARIABLES",
    "FUNCTIONS",
    "PLAIN_VARIABLES",
    "VISITOR_VARIABLES",
    "Resolver",
    "Rule",
    "Scope",
    "scope",
]

_MAX_KNOWN = 1024
_ABSENT = object()
_WHOLE: Mapping[str, Reads] = MappingProxyType({})

Resolver: TypeAlias = Callable[[str], Any]
"""Gives a variable's value by name, None where there is none."""


class Scope:
    """What rules are evaluated in: ``resolve`` is asked for each variable a rule names.

    Attributes
    ----------
    reads
        What the rule that is evaluated just now looks at: CEL is given no more of it.
    """

    __slots__ = ("_fractions", "_parts", "_plain", "reads", "resolve")

    def __init__(self, resolve: Resolver) -> None:
        self.resolve = resolve
        self.reads: Mapping[str, Reads] = _WHOLE
        self._plain: cel.Context | None = None
        self._parts: cel.Context | None = None
        self._fractions: cel.Context | None = None

    def plain(self) -> cel.Context:
        """What an expression runs in; made for the first that does, since most events meet rules without any."""
        if self._plain is None:
            self._plain = cel.Context()
            self._plain.set_variable_resolver(self.resolve)
        return self._plain

    def parts(self) -> cel.Context:
        """What an expression runs in that looks at entries of maps: it gets these alone."""
        if self._parts is None:
            self._parts = cel.Context()
            self._parts.set_variable_resolver(self._read)
        return self._parts

    def fractions(self) -> cel.Context:
        """What an expression that calculates runs in: every number is a fraction."""
        if self._fractions is None:
            read = self._read
            self._fractions = cel.Context()
            self._fractions.set_variable_resolver(lambda name: cel_numbers.as_fractions(read(name)))
        return self._fractions

    def _read(self, name: str) -> Any:
        value = self.resolve(name)
        reads = self.reads.get(name)
        return value if reads is None else pruned(value, reads)


def scope(resolve: Resolver) -> Scope:
    """What rules are evaluated in."""
    return Scope(resolve)


class Rule:
    """One compiled expression.

    Parameters
    ----------
    source
        The CEL expression.
    field
        Where it stands, for errors.
    variables
        The names it may use.
    looks_back
        Whether it may look at windows of the visitor's past (``catalog.windows``).
    calculates
        Whether every number is a fraction to it though it does no arithmetic: it is a part of a rule that does.

    Attributes
    ----------
    windows
        Those it looks at: each is a variable of its own.
    n_errors
        How often evaluating it failed for another reason than that something was not there.
    last_error
        The latest such reason, in words.

    Raises
    ------
    InvalidInput
        If it does not parse or names an unknown variable or function.

    >>> Rule('size(segments) > 0', "when", {"segments"}).holds(scope({"segments": ["vip"]}.get))
    True
    >>> Rule('traits.age > 30', "when", {"traits"}).holds(scope({"traits": {}}.get))
    False
    """

    __slots__ = (
        "_equality",
        "_known",
        "_program",
        "_reads",
        "calculates",
        "field",
        "last_error",
        "n_errors",
        "plain",
        "source",
        "tree",
        "variables",
        "windows",
    )

    def __init__(
        self,
        source: str,
        field: str,
        variables: Collection[str],
        *,
        looks_back: bool = False,
        calculates: bool = False,
    ) -> None:
        self.source, self.field = source, field
        self.tree, self.windows = self._read(looks_back)
        try:
            self._program = cel.compile(cel_tree.text_of(self.tree) if self.windows else source)
        except (ValueError, TypeError) as error:
            raise InvalidInput(field, cel_errors.syntax_error(source, str(error)), "bad_expression") from error
        self.variables = frozenset(self._program.variables()) - cel_tree.bound_names(self.tree) - _TYPES
        unknown = sorted(self.variables - set(variables) - {window.variable for window in self.windows})
        if unknown:
            raise InvalidInput(
                field, f"unknown name {unknown[0]!r}; {_nearest(unknown[0], variables)}", "unknown_name"
            )
        functions = {name for name in self._program.references()["functions"] if name.isidentifier()}
        for name in sorted(functions - FUNCTIONS):
            raise InvalidInput(field, f"unknown function {name!r}; {_nearest(name, FUNCTIONS)}", "unknown_name")
        self.calculates = calculates or cel_numbers.calculates(self.tree)
        if self.calculates:
            self._program = cel.compile(cel_tree.text_of(cel_numbers.with_fractions(self.tree)))
        self._equality = cel_tree.equality_of(self.tree)
        self._reads = reads_of(self.tree)
        self.plain = self._plain()
        self._known: dict[tuple[Any, ...], bool] = {}
        self.n_errors = 0
        self.last_error = ""

    def _read(self, looks_back: bool) -> tuple[cel_tree.Node, tuple[Window, ...]]:
        try:
            tree = cel_parser.parse(self.source)
        except cel_parser.Unreadable as error:
            # CEL would stumble over the first argument by name, or say again what is too long.
            if isinstance(error, cel_parser.TooMuch) or _WINDOW.search(self.source):
                raise InvalidInput(self.field, f"not a rule: {error}", "bad_expression") from error
            try:
                cel.compile(self.source)
            except (ValueError, TypeError) as said:  # CEL's own parser knows the place
                message = cel_errors.syntax_error(self.source, str(said))
                raise InvalidInput(self.field, message, "bad_expression") from said
            raise InvalidInput(self.field, f"not a rule: {error}", "bad_expression") from error
        if not has_windows(tree):
            return tree, ()
        if not looks_back:
            message = "looks at an event alone, which has no past; put the window into a segment, or into a when"
            raise InvalidInput(self.field, message, "bad_expression")
        try:
            return read_windows(tree)
        except cel_parser.Unreadable as error:
            raise InvalidInput(self.field, str(error), "bad_expression") from error

    def mentions(self, name: str) -> bool:
        """Whether it looks at the variable ``name``.

        >>> Rule("xs.exists(x, x > n)", "when", {"xs", "n"}).mentions("x")
        False
        """
        return name in self.variables

    def calls(self, function: str) -> bool:
        """Whether it calls the function, method or macro.

        >>> Rule("xs.exists(x, size(x) > 1)", "when", {"xs"}).calls("size")
        True
        """
        return any(isinstance(node, Call) and node.function == function for node in cel_tree.walk(self.tree))

    def holds_for(self, resolve: Resolver, scope: Callable[[], Scope]) -> bool:
        """``holds``, remembered if the rule looks only at what has few values (``PLAIN_VARIABLES``).

        Looking it up costs a quarter of evaluating it (for traits, which CEL converts all of, a tenth), and most
        visitors share their answers. What failed is not remembered: each time counts.
        """
        if not self.plain:
            return self.holds(scope())
        key: tuple[Any, ...] = ()
        for name, trait in self.plain:
            value = resolve(name)
            if trait and value is not None:
                value = value.get(trait, _ABSENT)
            kind = type(value)  # to CEL 1, 1.0 and true are three things
            one = (kind, tuple(value) if kind is list else value)
            key = key + one if key else one
        known = self._known.get(key)
        if known is None:
            n_errors = self.n_errors
            known = self.holds(scope())
            if self.n_errors == n_errors:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known[key] = known
        return known

    def holds(self, scope: Scope) -> bool:
        """Whether the rule is true; a rule that fails or gives no boolean does not hold."""
        if self._equality is not None:
            (first, *steps), text = self._equality
            value = scope.resolve(first)
            for step in steps:
                value = value.get(step) if isinstance(value, dict) else None
            if type(value) is str:  # most conditions are of this kind, and CEL would convert all properties first
                return value == text
        try:
            value = self._evaluated(scope)
        except Exception as error:  # whatever an expression may raise, the visitor gets an answer
            self._failed(error, scope)
            return False
        if value is True:
            return True
        if value is not False:
            self._gave(value, "true or false")
        return False

    def number(self, scope: Scope) -> float | None:
        """The rule's value as a finite number, else None."""
        value = self.value(scope)
        if isinstance(value, bool | int | float):
            return float(value) if math.isfinite(value) else None
        self._gave(value, "a number")
        return None

    def text(self, scope: Scope) -> str | None:
        """The rule's value as text, else None; a whole number is written without a fraction."""
        value = self.value(scope)
        if isinstance(value, str):
            return value
        if type(value) is float and value.is_integer():
            return str(int(value))
        if type(value) is int:
            return str(value)
        self._gave(value, "text")
        return None

    def value(self, scope: Scope) -> Any:
        """The rule's value, None if it fails."""
        try:
            return self._evaluated(scope)
        except Exception as error:  # as in `holds`
            self._failed(error, scope)
            return None

    def _evaluated(self, scope: Scope) -> Any:
        if not self._reads and not self.calculates:
            return self._program.execute(scope.plain())
        outer = scope.reads  # a rule that names `segments` has others evaluated within
        scope.reads = self._reads
        try:
            return self._program.execute(scope.fractions() if self.calculates else scope.parts())
        finally:
            scope.reads = outer

    def _failed(self, error: Exception, scope: Scope) -> None:
        """Count what failed, unless something was merely not there or a division was by 0."""
        if cel_errors.is_absence(error, self.tree, self.variables, scope.resolve):
            return
        self.n_errors += 1
        self.last_error = cel_errors.fault(error, self.tree, self.variables, scope.resolve)

    def _gave(self, value: Any, wanted: str) -> None:
        if value is not None:
            self.n_errors += 1
            self.last_error = f"gives {cel_errors.kind_of(value)}, not {wanted}"

    def _plain(self) -> tuple[tuple[str, str], ...]:
        """What decides the rule, as (variable, trait or nothing); empty if that may have many values."""
        names = self.variables - {"traits"}
        if not names <= PLAIN_VARIABLES:
            return ()
        traits = cel_tree.keys_of(self.tree, "traits")
        if traits is None:
            return ()
        return tuple(sorted({(name, "") for name in names} | {("traits", trait) for trait in traits}))


_WINDOW = re.compile(rf"\b(?:{'|'.join(sorted(WINDOW_FUNCTIONS))})\s*\(")

_TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"})
"""Names of types: ``type(traits.age) == string``."""


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"
