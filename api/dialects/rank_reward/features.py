"""Lists of objects as Rank and Reward has features, and what a model is told of them.

``[{"device": {"os": "ios"}, "tags": ["a", "b"]}]`` becomes ``device.os: "ios"``, ``tags.a: 1``, ``tags.b: 1``: the
names of objects are namespaces, and stand before a dot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from personalization.catalog.item import MAX_ITEM_FEATURES
from personalization.errors import InvalidInput
from personalization.features import MAX_CATEGORY_CHARS, MAX_FEATURES, MAX_MAGNITUDE, FeatureValue, clean

_MAX_DEPTH = 3
"""Objects within objects that are looked into; a namespace within one is one more."""


def merged(sent: list[dict[str, Any]]) -> dict[str, Any]:
    """Several objects as one: of equal names the last, objects of one name together.

    >>> merged([{"user": {"plan": "pro"}}, {"user": {"age": 7}, "hour": 3}])
    {'user': {'plan': 'pro', 'age': 7}, 'hour': 3}
    """
    found: dict[str, Any] = {}
    for each in sent:
        for name, value in each.items():
            held = found.get(name)
            together = isinstance(held, dict) and isinstance(value, dict)
            found[name] = {**held, **value} if together else value  # type: ignore[dict-item]  # both are
    return found


def context_features(
    context: Mapping[str, Any], prefix: str, left_out: frozenset[str] = frozenset()
) -> dict[str, FeatureValue]:
    """What a model is told of a context, under the names that a placement's ``features`` would give it.

    At most ``MAX_FEATURES``, in order.
    """
    found: dict[str, FeatureValue] = {}
    for name, value in context.items():
        if name not in left_out:
            _add(found, name, value, prefix, MAX_FEATURES, _MAX_DEPTH)
    return found


def action_features(sent: list[dict[str, Any]], field: str) -> dict[str, FeatureValue]:
    """What a model is told of an action.

    >>> action_features([{"topic": {"kind": "news"}, "new": True}, {"words": ["a"], "at": [0.5, 2]}], "features")
    {'topic.kind': 'news', 'new': 1.0, 'words.a': 1.0, 'at.0': 0.5, 'at.1': 2.0}

    Raises
    ------
    InvalidInput
        Where they are too many: ``field`` is where they stand.
    """
    if len(sent) == 1 and _is_flat(sent[0]):
        return sent[0]
    found: dict[str, FeatureValue] = {}
    for each in sent:
        for name, value in each.items():
            _add(found, name, value, "", MAX_ITEM_FEATURES + 1, _MAX_DEPTH)
    if len(found) > MAX_ITEM_FEATURES:
        raise InvalidInput(field, f"are more than {MAX_ITEM_FEATURES}; send those that tell most", "too_many")
    return found


def _is_flat(features: dict[str, Any]) -> bool:
    """Whether they are what a model is told as they stand; so are most."""
    if len(features) > MAX_ITEM_FEATURES:
        return False
    for name, value in features.items():
        kind = type(value)
        if kind is float:
            if not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
                return False
        elif kind is not str or not 0 < len(value) <= MAX_CATEGORY_CHARS:
            return False
        if not 0 < len(name) <= MAX_CATEGORY_CHARS or name[0] == "_":
            return False
    return True


def _add(found: dict[str, FeatureValue], name: str, value: Any, prefix: str, most: int, depth: int) -> None:
    """Add what ``value`` says; a name with an underscore before it is the caller's own business."""
    if not name or name[0] == "_" or len(found) >= most:
        return
    path = f"{prefix}.{name}" if prefix else name
    if isinstance(value, dict):
        if depth:
            for inner, each in value.items():
                _add(found, inner, each, path, most, depth - 1)
    elif isinstance(value, list):
        _add_list(found, value, path, most, depth)
    else:
        usable = clean(value)
        if usable is not None:
            found[path[:MAX_CATEGORY_CHARS]] = usable


def _add_list(found: dict[str, FeatureValue], values: Iterable[Any], path: str, most: int, depth: int) -> None:
    """Texts are several categories at once, numbers a vector; objects share their namespace."""
    for index, each in enumerate(values):
        if len(found) >= most:
            return
        if isinstance(each, str):
            if each:
                found[f"{path}.{each}"[:MAX_CATEGORY_CHARS]] = 1.0
        elif isinstance(each, dict):
            if depth:
                for inner, value in each.items():
                    _add(found, inner, value, path, most, depth - 1)
        elif (number := clean(each)) is not None:
            found[f"{path}.{index}"[:MAX_CATEGORY_CHARS]] = number
