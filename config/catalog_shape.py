"""How the catalog is written in YAML, derived from its types: one description for the loader and the JSON Schema.

A field of the types that ends in ``_ms`` is written without it, as a duration (``window: 30m``) or a moment
(``starts: 2026-01-01``). Rules, shares and moments are told by their types (``personalization.catalog.spec``). A
group that has a short form (``policy: thompson``, ``cap: 3 per day``) reads it itself.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from personalization.catalog.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Text:
    """Text; ``is_rule`` where it is a CEL expression."""

    is_rule: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number; ``is_share`` where a percentage may stand for it."""

    is_share: bool = False


@dataclass(frozen=True, slots=True)
class NumberOrText:
    """A finite number, or text: a CEL expression or a category."""

    is_rule: bool = False


@dataclass(frozen=True, slots=True)
class NumberOrGroup:
    """A finite number, or a group that has a short form."""

    group: Group


@dataclass(frozen=True, slots=True)
class YesNo:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time, milliseconds in the types."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or time, milliseconds since 1970 in the types."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """Any number of items; a single one may stand alone."""

    item: Shape


@dataclass(frozen=True, slots=True)
class OneOrMore:
    """One scalar, or a list of texts."""

    one: NumberOrText


@dataclass(frozen=True, slots=True)
class Pair:
    """Exactly two numbers."""


@dataclass(frozen=True, slots=True)
class MapOf:
    """Names that people choose, each with a value of one shape."""

    item: Shape


@dataclass(frozen=True, slots=True)
class Maybe:
    """A shape, or nothing."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a group: ``attribute`` in the types, its key in YAML."""

    attribute: str
    shape: Shape
    required: bool
    default: Any
    description: str


@dataclass(frozen=True, slots=True)
class Group:
    """A struct: known names, each with its own shape.

    Attributes
    ----------
    short
        What may stand for the whole group, in words; None: nothing may.
    """

    cls: type[msgspec.Struct]
    fields: dict[str, Field]
    description: str
    short: str | None


Shape: TypeAlias = (
    Text
    | Whole
    | Number
    | NumberOrText
    | NumberOrGroup
    | YesNo
    | Choice
    | Duration
    | Moment
    | Anything
    | ListOf
    | OneOrMore
    | Pair
    | MapOf
    | Maybe
    | Group
)


def yaml_name(attribute: str) -> str:
    """The key a field has in YAML.

    >>> yaml_name("window_ms"), yaml_name("slots")
    ('window', 'slots')
    """
    return attribute.removesuffix("_ms")


@functools.cache
def catalog_shape() -> Group:
    """The shape of the whole catalog."""
    shape = _shape(msgspec.inspect.type_info(Catalog))
    assert isinstance(shape, Group)
    return shape


def group_of(shape: Shape, cls: type[msgspec.Struct]) -> Group:
    """The group of one struct, wherever it stands within ``shape``; raises ``KeyError`` if it does not."""
    pending = [shape]
    while pending:
        match pending.pop():
            case Group() as group:
                if group.cls is cls:
                    return group
                pending += [field.shape for field in group.fields.values()]
            case ListOf(inner) | MapOf(inner) | Maybe(inner) | NumberOrGroup(inner):
                pending.append(inner)
    raise KeyError(cls.__name__)


def _shape(info: msgspec.inspect.Type) -> Shape:
    kinds = msgspec.inspect
    match info:
        case kinds.Metadata():
            return _written(info)
        case kinds.StructType():
            return _group(info)
        case kinds.IntType():
            return Whole()
        case kinds.FloatType():
            return Number()
        case kinds.StrType():
            return Text()
        case kinds.BoolType():
            return YesNo()
        case kinds.AnyType():
            return Anything()
        case kinds.LiteralType():
            return Choice(tuple(str(value) for value in info.values))
        case kinds.EnumType():
            return Choice(tuple(str(each.value) for each in info.cls))
        case kinds.VarTupleType():
            return ListOf(_shape(info.item_type))
        case kinds.TupleType():
            return Pair()
        case kinds.DictType():
            return MapOf(_shape(info.value_type))
        case kinds.UnionType():
            some = [_shape(part) for part in info.types if not isinstance(part, kinds.NoneType)]
            if len(some) == 1:
                return Maybe(some[0])
            groups = [part for part in some if isinstance(part, Group)]
            if len(some) == 2 and Number() in some and groups and groups[0].short is not None:
                return NumberOrGroup(groups[0])
            one = NumberOrText(is_rule=Text(is_rule=True) in some)
            return OneOrMore(one) if any(isinstance(part, ListOf) for part in some) else one
    raise TypeError(f"a catalog type nobody taught the loader to read: {info!r}")


def _written(info: msgspec.inspect.Metadata) -> Shape:
    """A type that says how it is written (``personalization.catalog.spec``)."""
    written = (info.extra or {}).get("written")
    shapes: dict[Any, Shape] = {
        "rule": Text(is_rule=True),
        "share": Number(is_share=True),
        "moment": Moment(),
    }
    return shapes[written] if written in shapes else _shape(info.type)


def _group(info: msgspec.inspect.StructType) -> Group:
    docs = attribute_docs(info.cls)
    fields = {}
    for field in info.fields:
        key = yaml_name(field.name)
        shape = _shape(field.type)
        if key != field.name:
            shape = _as_time(shape)
        default = field.default if field.default is not msgspec.NODEFAULT else None
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        fields[key] = Field(field.name, shape, field.required, default, docs.get(field.name, ""))
    first = (info.cls.__doc__ or "").strip().split("\n\n")[0]
    return Group(info.cls, fields, " ".join(first.split()), getattr(info.cls, "short_form", None))


def _as_time(shape: Shape) -> Shape:
    if isinstance(shape, Maybe):
        return Maybe(_as_time(shape.shape))
    return Duration() if isinstance(shape, Whole) else shape


_ENTRY = re.compile(r"^    (?P<names>[a-z0-9_]+(?:, [a-z0-9_]+)*)\n(?P<text>(?:        .*\n|\n)+)", re.MULTILINE)


def attribute_docs(cls: type[msgspec.Struct]) -> dict[str, str]:
    """Field → what the class's docstring says of it under *Attributes*."""
    docs = {}
    _, _, attributes = (cls.__doc__ or "").partition("----------\n")
    for entry in _ENTRY.finditer(attributes + "\n"):
        text = " ".join(entry["text"].replace("``", "`").split())
        docs.update(dict.fromkeys(entry["names"].split(", "), text))
    return docs


_PLACEHOLDERS: dict[type, Any] = {
    Text: "",
    Whole: 0,
    Number: 0.0,
    NumberOrText: 0.0,
    NumberOrGroup: 0.0,
    YesNo: False,
    Duration: 1,
    Moment: 0,
    ListOf: (),
    OneOrMore: 0.0,
    MapOf: {},
}


def placeholder(shape: Shape) -> Any:
    """A value that stands for one that was wrong, so that the rest can still be checked."""
    if isinstance(shape, Group):
        return shape.cls(
            **{
                field.attribute: placeholder(field.shape) if field.required else field.default
                for field in shape.fields.values()
            }
        )
    if isinstance(shape, Choice):
        return shape.words[0]
    return _PLACEHOLDERS.get(type(shape))
