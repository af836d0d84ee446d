"""Metarank's fields: named values of items, of visitors, and of what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from personalization.catalog.item import MAX_ITEM_FEATURES
from personalization.errors import InvalidInput
from personalization.features import MAX_CATEGORY_CHARS, MAX_MAGNITUDE, Attribute, clean

FieldValue: TypeAlias = str | bool | int | float | list[str | int | float | bool] | None


class WireField(msgspec.Struct, frozen=True):
    """One field."""

    name: str
    value: FieldValue = None


_CONSENT = "consent."


class Said(NamedTuple):
    """What fields say: values by name, and apart from them what the visitor agrees to, by purpose."""

    values: dict[str, Any]
    context: dict[str, Any]


def said_in(fields: Sequence[WireField] | None, at: str) -> Said:
    """What fields say; of a name that stands there twice the last counts.

    >>> said_in([WireField("query", "jeans"), WireField("consent.personalization", False)], "fields")
    Said(values={'query': 'jeans'}, context={'consent': {'personalization': False}})

    Raises
    ------
    InvalidInput
        Names the field below ``at`` that is neither a yes nor a no.
    """
    values: dict[str, Any] = {}
    consent: dict[str, bool] = {}
    for index, field in enumerate(fields or ()):
        if not field.name.startswith(_CONSENT):
            values[field.name] = field.value
        elif isinstance(field.value, bool):
            consent[field.name.removeprefix(_CONSENT)] = field.value
        else:
            message = "is neither true nor false, as consent is; leave it out where nothing was asked"
            raise InvalidInput(f"{at}[{index}].value", message, "invalid_field")
    return Said(values, {"consent": consent} if consent else {})


def features_of(fields: Sequence[WireField] | None, at: str) -> dict[str, Attribute]:
    """Fields as models know them: numbers, texts, and several texts at once; of a list of numbers each has a name.

    >>> features_of([WireField("color", ["red", "blue"]), WireField("vector", [1, 2.5])], "fields")
    {'color': ('red', 'blue'), 'vector.0': 1.0, 'vector.1': 2.5}

    Raises
    ------
    InvalidInput
        Names the field below ``at``.
    """
    found: dict[str, Attribute] = {}
    for index, field in enumerate(fields or ()):
        name, value = field.name, field.value
        kind = type(value)  # nearly all are numbers in range and short texts, which stay as they are
        if 0 < len(name) <= MAX_CATEGORY_CHARS:
            if kind is float and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:  # type: ignore[operator]  # a float
                found[name] = value  # type: ignore[assignment]
                continue
            if kind is str and 0 < len(value) <= MAX_CATEGORY_CHARS:  # type: ignore[arg-type]  # a text
                found[name] = value  # type: ignore[assignment]
                continue
        if not 0 < len(name) <= MAX_CATEGORY_CHARS:
            raise InvalidInput(f"{at}[{index}].name", f"must have 1 to {MAX_CATEGORY_CHARS} characters", "bad_text")
        if isinstance(value, list) and len(value) > MAX_ITEM_FEATURES:
            message = f"are {len(value):,} at once; at most {MAX_ITEM_FEATURES} are taken"
            raise InvalidInput(f"{at}[{index}].value", message, "too_many")
        if not isinstance(value, list):
            values: dict[str, object] = {name: value}
        elif all(isinstance(each, str) for each in value):
            found[name] = tuple([each[:MAX_CATEGORY_CHARS] for each in value if isinstance(each, str) and each])
            continue
        elif any(isinstance(each, str) for each in value):
            message = "mixes texts and numbers; send a list of either"
            raise InvalidInput(f"{at}[{index}].value", message, "invalid_field")
        else:
            values = {f"{name}.{n}": each for n, each in enumerate(value)}
        found |= {each: cleaned for each, one in values.items() if (cleaned := clean(one)) is not None}
    if len(found) > MAX_ITEM_FEATURES:
        raise InvalidInput(at, f"are {len(found):,} features; at most {MAX_ITEM_FEATURES} are taken", "too_many")
    return found
