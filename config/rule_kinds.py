"""Rules that put together what does not go together, as far as the text alone tells: a number with a text, for one.

What a site sends (traits, properties, the context) may be of any kind: nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import cel

from config.catalog_errors import did_you_mean
from personalization.catalog.cel_tree import (
    MACROS,
    Binary,
    Call,
    Conditional,
    Field,
    Index,
    Keyword,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Unary,
    bound_names,
    text_of,
)
from personalization.catalog.vocabulary import ANYTHING, NUMBER_FUNCTIONS, TEXT_METHODS, Kind, Variable
from personalization.catalog.windows import FUNCTIONS as WINDOWS

_NUMBER, _TEXT, _YES_NO, _LIST = (Variable(kind) for kind in ("number", "text", "yes_no", "list"))
_MAP = Variable("map", entries=ANYTHING)
_WORDS: Mapping[Kind, str] = {
    "number": "a number",
    "text": "text",
    "yes_no": "true or false",
    "list": "a list",
    "map": "a map",
    "unknown": "anything",
}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GIVES_YES_NO = TEXT_METHODS | {"contains", "has", "all", "exists", "exists_one"}


def kind_mistakes(tree: Node, variables: Mapping[str, Variable], wanted: Kind) -> list[str]:
    """What can never be evaluated in a rule, or never be equal, in words with the remedy.

    Parameters
    ----------
    variables
        What the rule may name.
    wanted
        What the rule has to give: ``yes_no`` for conditions, ``number`` or ``text`` for values.
    """
    kinds = _Kinds(variables, bound_names(tree))
    given = kinds.of(tree)
    if wanted == "yes_no" and given.kind not in ("yes_no", "unknown"):
        kinds.mistakes.append(f"gives {_WORDS[given.kind]}, not true or false; {_as_condition(tree, given)}")
    elif wanted == "number" and given.kind in ("text", "list", "map"):
        kinds.mistakes.append(f"gives {_WORDS[given.kind]}, not a number; write double(…) around a text of digits")
    elif wanted == "text" and given.kind in ("yes_no", "list", "map"):
        kinds.mistakes.append(f"gives {_WORDS[given.kind]}, not text; it has to be the id of a content")
    return list(dict.fromkeys(kinds.mistakes))


def gives_yes_no(tree: Node, variables: Mapping[str, Variable]) -> bool:
    """Whether a rule can only be true or false."""
    return _Kinds(variables, bound_names(tree)).of(tree).kind == "yes_no"


class _Kinds:
    """Works out the kind of every part of one rule, and notes what does not fit."""

    def __init__(self, variables: Mapping[str, Variable], bound: frozenset[str]) -> None:
        self.variables = variables
        self.bound = bound
        self.mistakes: list[str] = []

    def of(self, node: Node) -> Variable:
        match node:
            case Literal(value, _, opaque):
                return ANYTHING if opaque or value is None else _of_value(value)
            case Name(name):
                return ANYTHING if name in self.bound else self.variables.get(name, ANYTHING)
            case Field(target, name):
                return self.entry(node, target, name)
            case Index(target, Literal(str(name), _, False)):
                return self.entry(node, target, name)
            case Index(target, key):
                self.of(key)
                return self.of(target).entries or ANYTHING
            case Call(None, function) if function in WINDOWS:
                return _NUMBER if function in ("count", "sum") else _YES_NO if function == "never" else ANYTHING
            case Call():
                return self.call(node)
            case Keyword():
                return ANYTHING  # no function but those of windows takes any
            case Unary("!", operand):
                self.condition(operand)
                return _YES_NO
            case Unary(_, operand):
                return self.number(operand, "-")
            case Binary("&&" | "||", left, right):
                self.condition(left)
                self.condition(right)
                return _YES_NO
            case Binary("in", left, right):
                self.membership(left, right)
                return _YES_NO
            case Binary("<" | "<=" | ">" | ">=" | "==" | "!=", left, right):
                self.comparison(node, left, right)
                return _YES_NO
            case Binary("+", left, right):
                return self.plus(node, left, right)
            case Binary(operator, left, right):
                sides = (self.number(left, operator), self.number(right, operator))
                return _NUMBER if _NUMBER in sides else ANYTHING
            case Conditional(test, then, otherwise):
                self.condition(test)
                kinds = {self.of(then).kind, self.of(otherwise).kind}
                return Variable(kinds.pop()) if len(kinds) == 1 else ANYTHING
            case ListOf(items):
                for item in items:
                    self.of(item)
                return _LIST
            case MapOf(entries):
                for _, held in entries:
                    self.of(held)
                return _MAP

    def entry(self, node: Node, target: Node, name: str) -> Variable:
        """``target.name``."""
        held = self.of(target)
        if held.kind in ("unknown", "map"):
            found = held.entry(name)
            if found is None:
                self.mistakes.append(f"{text_of(target)} has no {name!r}; {did_you_mean(name, held.named)}")
            return found or ANYTHING
        remedy = f'write "{name}" in {text_of(target)}' if held.kind == "list" else f"write {text_of(target)} alone"
        self.mistakes.append(f"{text_of(target)} is {_WORDS[held.kind]} and has no {name!r}; {remedy}")
        return ANYTHING

    def condition(self, node: Node) -> None:
        kind = self.of(node)
        if kind.kind not in ("yes_no", "unknown"):
            what = f"{text_of(node)} is {_WORDS[kind.kind]}, not true or false"
            self.mistakes.append(f"{what}; {_as_condition(node, kind)}")

    def number(self, node: Node, operator: str) -> Variable:
        kind = self.of(node)
        if kind.kind in ("text", "yes_no", "list", "map"):
            remedy = f"; write double({text_of(node)})" if kind.kind == "text" else ""
            self.mistakes.append(f"{text_of(node)} is {_WORDS[kind.kind]}: {operator} takes numbers{remedy}")
        return _NUMBER if kind.kind == "number" else ANYTHING

    def plus(self, node: Node, left: Node, right: Node) -> Variable:
        one, other = self.of(left), self.of(right)
        kinds = {one.kind, other.kind} - {"unknown"}
        if len(kinds) == 2:
            what = f"{text_of(node)} adds {_WORDS[one.kind]} and {_WORDS[other.kind]}"
            number = left if one.kind == "number" else right
            remedy = f"; write string({text_of(number)})" if kinds == {"number", "text"} else ""
            self.mistakes.append(what + remedy)
            return ANYTHING
        return Variable(kinds.pop()) if kinds else ANYTHING

    def comparison(self, node: Node, left: Node, right: Node) -> None:
        one, other = self.of(left), self.of(right)
        if "unknown" in (one.kind, other.kind) or one.kind == other.kind:
            return
        what = (
            f"{text_of(node)} compares {_WORDS[one.kind]} with {_WORDS[other.kind]}, which are never equal"
            if isinstance(node, Binary) and node.operator in ("==", "!=")
            else f"{text_of(node)} compares {_WORDS[one.kind]} with {_WORDS[other.kind]}, which fails"
        )
        sides = ((left, one), (right, other))
        remedy = _instead(left, one, right, other) or _instead(right, other, left, one)
        if not remedy and (held := next((text_of(side) for side, kind in sides if kind.kind == "map"), "")):
            remedy = f"name one entry of {held}, such as {held}.name"
        self.mistakes.append(f"{what}; {remedy or f'compare {text_of(left)} with {_WORDS[one.kind]}'}")

    def membership(self, left: Node, right: Node) -> None:
        one, held = self.of(left), self.of(right)
        if held.kind in ("number", "text", "yes_no"):
            remedy = f"; write {text_of(right)}.contains({text_of(left)})" if held.kind == "text" else ""
            self.mistakes.append(f"{text_of(right)} is {_WORDS[held.kind]}: 'in' asks a list or a map{remedy}")
        if isinstance(right, ListOf) and one.kind != "unknown":
            for item in right.items:
                other = self.of(item)
                if other.kind not in ("unknown", one.kind):
                    what = f"{text_of(left)} is {_WORDS[one.kind]} and never in a list at {text_of(item)}"
                    remedy = _instead(left, one, item, other) or f"list {_WORDS[one.kind]}"
                    self.mistakes.append(f"{what}, which is {_WORDS[other.kind]}; {remedy}")
                    return

    def call(self, node: Call) -> Variable:
        binds = node.target is not None and node.function in MACROS
        parts = [node.target] if node.target is not None else []
        parts += node.arguments[1 if binds else 0 :]
        kinds = [self.of(part) for part in parts]
        if parts:
            self.asks(node.function, parts[0], kinds[0].kind)
        if node.function == "matches" and node.arguments:
            self.pattern(node.arguments[-1])
        if node.function in _GIVES_YES_NO:
            return _YES_NO
        if node.function in NUMBER_FUNCTIONS:
            return _NUMBER
        if node.function in ("map", "filter"):
            return _LIST
        return _TEXT if node.function == "string" else ANYTHING

    def asks(self, function: str, part: Node, kind: Kind) -> None:
        """What a function is called on: its target, or its first argument."""
        what = f"{text_of(part)} is {_WORDS[kind]}: {function} asks"
        if function in TEXT_METHODS and kind in ("number", "yes_no", "list", "map"):
            self.mistakes.append(f"{what} a text; write string({text_of(part)}).{function}(…)")
        if function in ("size", "contains") and kind in ("number", "yes_no"):
            self.mistakes.append(f"{what} a text, a list or a map; compare {text_of(part)} itself")

    def pattern(self, node: Node) -> None:
        if isinstance(node, Literal) and isinstance(node.value, str):
            try:
                cel.evaluate(f'"".matches({node.text})')
            except RuntimeError as error:
                said = str(error).removeprefix("Function 'matches' error: ").splitlines()
                reason = next((line for line in said if line.startswith("error: ")), "").removeprefix("error: ")
                reason = reason.split(". Check")[0]
                why = f": {reason}" if reason else ""
                self.mistakes.append(
                    f"{node.text} is no regular expression{why}; put \\\\ before signs meant as such"
                )


def _of_value(value: float | str | bool) -> Variable:
    if isinstance(value, bool):
        return _YES_NO
    return _TEXT if isinstance(value, str) else _NUMBER


def _as_condition(node: Node, kind: Variable) -> str:
    if kind.kind == "number":
        return (
            f"write {text_of(node)} > 0" if isinstance(node, Name | Field | Index) else "compare it with a number"
        )
    if kind.kind == "text":
        return "compare it with a text"
    return f"write size({text_of(node)}) > 0"


def _instead(asked: Node, kind: Variable, literal: Node, other: Variable) -> str:
    """What to write if ``literal`` is the right thing in the wrong kind; empty if nobody can tell."""
    if not isinstance(literal, Literal):
        return ""
    if kind.kind == "number" and isinstance(literal.value, str):
        word = literal.value.strip().lower()
        day = next((n for n, name in enumerate(_DAYS) if len(word) >= 2 and name.startswith(word)), None)
        if text_of(asked) == "weekday" and day is not None:
            return f"weekday is a number from 0 (Monday) to 6 (Sunday): write {day}"
        return f"write {word} without quotes" if _is_number(word) else ""
    if kind.kind == "yes_no":
        word = str(literal.value).lower()
        if word in ("true", "yes", "1"):
            return f"write {text_of(asked)}"
        return f"write !{text_of(asked)}" if word in ("false", "no", "0") else ""
    if kind.kind == "number" and isinstance(literal.value, bool):
        return f"write {text_of(asked)} {'> 0' if literal.value else '== 0'}"
    if kind.kind == "text" and other.kind == "number":
        return f'write "{literal.text}" in quotes'
    return ""


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).removeprefix("-").isdecimal()
