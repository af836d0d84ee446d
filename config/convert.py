"""The tree of a file into values of the catalog's types, guided by their shapes; every mistake is noted.

Whatever is wrong, the result has the right type: a placeholder stands in for what could not be read, so that
the rest of the catalog is still checked for meaning.
"""

from __future__ import annotations

from typing import Any, assert_never

from config import scalars
from config.catalog_errors import Mistakes, Place, did_you_mean, listing
from config.catalog_shape import (
    Anything,
    Choice,
    Duration,
    Group,
    ListOf,
    MapOf,
    Maybe,
    Moment,
    Number,
    NumberOrGroup,
    NumberOrText,
    OneOrMore,
    Pair,
    Shape,
    Text,
    Whole,
    YesNo,
    placeholder,
)
from config.yaml_tree import Borrowed, Fields, Items, Scalar, Tree, is_null, kind
from personalization.catalog.duration import read_duration_ms


class Converter:
    """Turns trees into values.

    Attributes
    ----------
    mistakes
        What was wrong.
    places
        Where each path was written.
    first_lines
        The lines on which texts begin that go on line by line (``|``), by path.
    """

    def __init__(self) -> None:
        self.mistakes = Mistakes()
        self.places: dict[str, Place] = {}
        self.first_lines: dict[str, int] = {}

    def convert(self, tree: Tree, shape: Shape, path: str) -> Any:
        """The value of ``tree`` as ``shape``."""
        self.places[path] = tree.place
        if isinstance(shape, Maybe):
            return None if is_null(tree) or _is_never(tree, shape) else self.convert(tree, shape.shape, path)
        match shape:
            case Anything():
                return self._anything(tree, path)
            case Group():
                return self._group(tree, shape, path)
            case NumberOrGroup(group):
                return self._number_or_group(tree, group, path)
            case MapOf():
                return self._map(tree, shape, path)
            case ListOf():
                return self._list(tree, shape, path)
            case OneOrMore() if isinstance(tree, Items):
                return self._list(tree, _TEXTS, path)
            case Pair():
                return self._pair(tree, path)
            case _:
                return self._scalar(tree, shape, path)

    def fields(self, tree: Tree, path: str, expected: str) -> dict[str, tuple[Scalar, Tree]]:
        """The names and values of a group, each once."""
        if is_null(tree):
            return {}
        if not isinstance(tree, Fields):
            self._fail(tree, path, f"must be {expected}, not {kind(tree)}")
            return {}
        found: dict[str, tuple[Scalar, Tree]] = {}
        for key, value in tree.fields:
            first = found.get(key.text)
            if first is None or isinstance(first[0], Borrowed):
                found[key.text] = (key, value)
            elif not isinstance(key, Borrowed):
                here = f"{path}.{key.text}" if path else key.text
                message = f"is written twice, first at {first[0].place}; keep one"
                self.mistakes.add(key.place, here, message, "duplicate_name")
        return found

    def _group(self, tree: Tree, shape: Group, path: str) -> Any:
        if isinstance(tree, Scalar) and not is_null(tree) and shape.short is not None:
            return self._short_form(tree, shape, path)
        n_before = len(self.mistakes.found)
        expected = f"a group with the fields {listing(shape.fields, 30)}"
        if shape.short is not None:
            expected = f"a short form such as '{shape.short}', or {expected}"
        written = self.fields(tree, path, expected)
        unread = len(self.mistakes.found) > n_before and not written
        return self.struct(written, shape, path, tree.place, unread)

    def struct(
        self, written: dict[str, tuple[Scalar, Tree]], shape: Group, path: str, place: Place, unread: bool = False
    ) -> Any:
        """A struct from its written fields; ``unread`` if the group itself was wrong already."""
        values: dict[str, Any] = {}
        for name, (key, value) in written.items():
            here = f"{path}.{name}" if path else name
            field = shape.fields.get(name)
            if field is None:
                self.mistakes.add(key.place, here, _unknown_field(name, shape), "unknown_field")
                continue
            if is_null(value) and not isinstance(field.shape, Maybe | Anything | Choice) and not field.required:
                values[field.attribute] = field.default  # `locales:` with nothing below it means none
                continue
            n_before = len(self.mistakes.found)
            values[field.attribute] = made = self.convert(value, field.shape, here)
            if made == field.default == 0 and isinstance(field.shape, Duration):
                self._fail(value, here, "must be longer than nothing, such as 30m, 12h or 14d; or leave it out")
            if not field.required and any(mistake.path == here for mistake in self.mistakes.found[n_before:]):
                values[field.attribute] = field.default
        for name, field in shape.fields.items():
            if field.required and field.attribute not in values:
                values[field.attribute] = placeholder(field.shape)
                if not unread:
                    here = f"{path}.{name}" if path else name
                    needs = f": {field.description.rstrip('.')}" if field.description else ""
                    self.mistakes.add(place, here, f"is missing{needs}", "missing_field")
        return shape.cls(**values)

    def _short_form(self, tree: Scalar, shape: Group, path: str) -> Any:
        made = shape.cls.from_short(tree.text)  # type: ignore[attr-defined]  # each that has a short form reads it
        if made is None:
            *others, last = map(repr, shape.cls.short_schema["examples"])  # type: ignore[attr-defined]  # as above
            self._fail(tree, path, f"must be such as {', '.join(others)} or {last}, not {kind(tree)}")
            return placeholder(shape)
        return made

    def _number_or_group(self, tree: Tree, group: Group, path: str) -> Any:
        if isinstance(tree, Fields):
            return self._group(tree, group, path)
        if isinstance(tree, Scalar) and not is_null(tree):
            number = scalars.read_number(tree.text)
            made = number if number is not None else group.cls.from_short(tree.text)  # type: ignore[attr-defined]  # each that has a short form reads it
            if made is not None:
                return made
            if scalars.is_not_finite(tree.text):
                self._fail(tree, path, f"must be a finite number, not {tree.text}", "not_finite")
                return 0.0
        *others, last = map(repr, group.cls.short_schema["examples"])  # type: ignore[attr-defined]  # as above
        self._fail(
            tree, path, f"must be a number such as 20, or such as {', '.join(others)} or {last}, not {kind(tree)}"
        )
        return 0.0

    def _map(self, tree: Tree, shape: MapOf, path: str) -> dict[str, Any]:
        written = self.fields(tree, path, "a group of names, each with its value")
        return {name: self._entry(key, value, shape, f"{path}.{name}") for name, (key, value) in written.items()}

    def _entry(self, key: Scalar, value: Tree, shape: MapOf, path: str) -> Any:
        """One named value of a map."""
        item = self.convert(value, shape.item, path)
        self.places[path] = key.place
        if not key.text.strip():
            self.mistakes.add(key.place, path, "needs a name before the colon")
        elif key.plain and (is_null(key) or key.text.lower() in ("true", "false")):
            self.mistakes.add(key.place, path, f"a name must be text; choose another than {key.text}, or quote it")
        return item

    def _list(self, tree: Tree, shape: ListOf, path: str) -> tuple[Any, ...]:
        if is_null(tree):
            return ()
        if not isinstance(tree, Items):
            single = isinstance(tree, Scalar) or isinstance(shape.item, Group)
            return (self.convert(tree, shape.item, path),) if single else self._not_a_list(tree, path)
        return tuple(self.convert(item, shape.item, f"{path}[{n}]") for n, item in enumerate(tree.items))

    def _not_a_list(self, tree: Tree, path: str) -> tuple[Any, ...]:
        self._fail(tree, path, f"must be a list (one '- item' a line), not {kind(tree)}")
        return ()

    def _pair(self, tree: Tree, path: str) -> tuple[float, float]:
        items = tree.items if isinstance(tree, Items) else []
        numbers = [scalars.read_number(item.text) for item in items if isinstance(item, Scalar)]
        if len(items) == 2 and len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
            return (numbers[0], numbers[1])
        self._fail(tree, path, "must be two numbers, lowest and highest, such as [0, 1]")
        return (0.0, 1.0)

    def _scalar(self, tree: Tree, shape: Shape, path: str) -> Any:
        expected = _expected(shape)
        if not isinstance(tree, Scalar) or is_null(tree):
            hint = _BRACES if isinstance(tree, Fields) and _is_flow_braces(tree) else ""
            self._fail(tree, path, f"must be {expected}, not {kind(tree)}{hint}")
            return placeholder(shape)
        value = self._read(tree, shape, path)
        if value is None:
            if isinstance(shape, Number | NumberOrText | OneOrMore) and scalars.is_not_finite(tree.text):
                self._fail(tree, path, f"must be a finite number, not {tree.text}", "not_finite")
            elif isinstance(shape, Choice):
                hint = did_you_mean(tree.text, shape.words)
                ask = f"; {hint}" if hint.startswith("did") else ""
                self._fail(tree, path, f"must be {expected}, not {kind(tree)}{ask}")
            else:
                unit = _unit_hint(tree.text) if isinstance(shape, Duration) else ""
                self._fail(tree, path, f"must be {expected}, not {kind(tree)}{unit}")
            return placeholder(shape)
        return value

    def _read(self, tree: Scalar, shape: Shape, path: str) -> Any:
        """The value, None where the text does not fit."""
        text = tree.text
        match shape:
            case Text():
                return text.strip() if shape.is_rule else text
            case Whole():
                return scalars.read_whole(text)
            case Number():
                return scalars.read_share(text) if shape.is_share else scalars.read_number(text)
            case NumberOrText():
                if not tree.plain:
                    return text
                if scalars.is_not_finite(text):
                    return None
                number = scalars.read_number(text)
                if number is None and not shape.is_rule and text.lower() in ("true", "false"):
                    return float(text.lower() == "true")
                return text if number is None else number
            case OneOrMore():
                return self._read(tree, shape.one, path)
            case YesNo():
                return scalars.read_yes_no(text)
            case Choice():
                return text if text in shape.words else None
            case Duration():
                return read_duration_ms(text)
            case Moment():
                return scalars.read_moment_ms(text)
        raise TypeError(f"not a single value: {shape!r} at {path}")

    def _anything(self, tree: Tree, path: str) -> Any:
        """A JSON value. Plain words follow YAML 1.2: only true and false are booleans, yes and no are text."""
        self.places[path] = tree.place
        match tree:
            case Items():
                return [self._anything(item, f"{path}[{n}]") for n, item in enumerate(tree.items)]
            case Fields():
                written = self.fields(tree, path, "")
                return {name: self._anything(value, f"{path}.{name}") for name, (_, value) in written.items()}
            case Scalar():
                return self._json_scalar(tree, path)
        assert_never(tree)

    def _json_scalar(self, tree: Scalar, path: str) -> Any:
        if tree.first_line:
            self.first_lines[path] = tree.first_line
        if not tree.plain:
            return tree.text
        if is_null(tree):
            return None
        if tree.text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return tree.text.lower() == "true"
        if tree.text.startswith("0") and tree.text.isdecimal() and len(tree.text) > 1:
            return tree.text  # a postcode, not a number
        whole = scalars.read_whole(tree.text)
        if whole is not None:
            return whole
        if scalars.is_not_finite(tree.text) and tree.text.lower() not in ("nan", "inf", "infinity"):
            self._fail(tree, path, f"must be a finite number or text in quotes, not {tree.text}", "not_finite")
            return None
        number = scalars.read_number(tree.text)
        return tree.text if number is None else number

    def _fail(self, tree: Tree, path: str, message: str, code: str = "invalid_field") -> None:
        self.mistakes.add(tree.place, path, message, code)


_TEXTS = ListOf(Text())

_BRACES = "; put text that starts with { in quotes"


def _is_flow_braces(tree: Fields) -> bool:
    # `x: {{name}}` parses as a group whose only name has no value.
    return len(tree.fields) == 1 and is_null(tree.fields[0][1])


def _is_never(tree: Tree, shape: Maybe) -> bool:
    return (
        isinstance(tree, Scalar)
        and isinstance(shape.shape, Duration | Moment)
        and tree.text.strip().lower() in ("never", "none")
    )


def _unit_hint(text: str) -> str:
    return f"; write the unit: {text.strip()}m, {text.strip()}d" if scalars.read_number(text) else ""


def _expected(shape: Shape) -> str:
    match shape:
        case Text(is_rule=True):
            return "a CEL expression"
        case Text():
            return "text"
        case Whole():
            return "a whole number such as 3"
        case Number(is_share=True):
            return "a share such as 0.1 or 10%"
        case Number():
            return "a number such as 0.5"
        case NumberOrText(is_rule=True):
            return "a number or a CEL expression"
        case NumberOrText():
            return "a number or text"
        case OneOrMore():
            return f"{_expected(shape.one)}, or a list of texts"
        case YesNo():
            return "true or false"
        case Choice():
            return "one of " + ", ".join(shape.words)
        case Duration():
            return "a length of time such as 30m, 12h or 14d"
        case Moment():
            return "a date or time such as 2026-01-31 or 2026-01-31T09:00+01:00"
    return "a value"


_RENAMED = {"html": "body", "json": "body", "url": "body", "arms": "content", "if": "when"}


def _unknown_field(name: str, shape: Group) -> str:
    for suffix in ("_ms", "_s", "_seconds", "_minutes", "_days"):
        if (time := name.removesuffix(suffix)) in shape.fields and time != name:
            return f"unknown field; write {time} with a unit, such as {time}: 30m"
    renamed = _RENAMED.get(name)
    if renamed in shape.fields:
        return f"unknown field; did you mean {renamed!r}?"
    return f"unknown field; {did_you_mean(name, shape.fields)}"
