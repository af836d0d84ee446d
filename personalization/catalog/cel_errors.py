"""What CEL says of an expression, in words: what does not parse, and what failed when it was evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from personalization.catalog.cel_tree import Node, path_of, walk

_SYNTAX_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): Syntax error: (.*)")
_MACRO_ERROR = re.compile(r"ERROR: <input>:\d+:\d+: (invalid argument to has\(\) macro)")
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


def syntax_error(source: str, reason: str) -> str:
    """What the parser stumbled over, and the spelling CEL has for it."""
    if not source.strip():
        return "is empty; write a CEL expression such as n_orders > 2, or leave it out"
    error = _SYNTAX_ERROR.search(reason)
    if error is None:
        if _MACRO_ERROR.search(reason):
            return (
                'not a CEL expression: has() takes a dotted name, such as has(traits.plan); or ask "plan" in traits'
            )
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


_UNDEFINED = re.compile(r"Undefined variable or function: '(\w+)'")
_FUNCTION = re.compile(r"Function '(\w+)' error")


def is_absence(error: Exception, tree: Node, variables: Collection[str], resolve: Callable[[str], Any]) -> bool:
    """Whether an evaluation failed because something is not there, or because there was nothing to divide by.

    What is not there may be an entry, an item, a variable, or its value.

    Parameters
    ----------
    variables
        The names of ``tree`` that are variables.
    resolve
        Gives their values.
    """
    if isinstance(error, LookupError | ZeroDivisionError):
        return True
    undefined = _UNDEFINED.search(str(error))
    if undefined is not None and undefined[1] in variables:
        return True
    return any(value is None for _, value in _values(tree, variables, resolve))


def fault(error: Exception, tree: Node, variables: Collection[str], resolve: Callable[[str], Any]) -> str:
    """Say what failed and of what kind the values were; never the values themselves, which may be personal."""
    said = str(error)
    function = _UNDEFINED.search(said) or _FUNCTION.search(said)
    if isinstance(error, OverflowError):
        what = "a number is too large"
    elif function is not None:
        what = f"{function[1]} takes no such value"
    elif isinstance(error, TypeError):
        what = "these kinds of values cannot be put together"
    else:
        what = f"it fails with a {type(error).__name__}"
    kinds = {".".join(path): kind_of(value) for path, value in _values(tree, variables, resolve)}
    seen = ", ".join(f"{name} is {kind}" for name, kind in list(kinds.items())[:4])
    return f"{what} ({seen})" if seen else what


def kind_of(value: Any) -> str:
    """The kind of a value, in the words of the docs.

    >>> kind_of(True), kind_of(3), kind_of("x"), kind_of([]), kind_of({})
    ('true or false', 'a number', 'text', 'a list', 'a map')
    """
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a map"
    return (
        "a list" if isinstance(value, list | tuple) else "nothing" if value is None else "a value of its own kind"
    )


def _values(
    tree: Node, variables: Collection[str], resolve: Callable[[str], Any]
) -> list[tuple[tuple[str, ...], Any]]:
    """The value of each path an expression names, as far as it is there."""
    found = []
    for node in walk(tree):
        path = path_of(node)
        if path is None or path[0] not in variables:
            continue
        value = resolve(path[0])
        for step in path[1:]:
            if not isinstance(value, Mapping) or step not in value:
                break
            value = value[step]
        else:
            if not isinstance(value, Mapping):
                found.append((path, value))
    return found
