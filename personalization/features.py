"""Raw features: what is known at the moment of a decision, by name.

A feature value is a finite float or a short string (a category). Missing is absent. Encoding them into
numbers is the model's business (``online_models.encoder``); here they are as logged in the decision record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

FeatureValue: TypeAlias = float | str
Features: TypeAlias = Mapping[str, FeatureValue]

Attribute: TypeAlias = FeatureValue | tuple[str, ...]
"""What a content is, as people write it: a number, a category, or several categories at once."""

MAX_FEATURES = 256
"""More names than this in one context are dropped, in order: a bound on record size and model growth."""

MAX_CATEGORY_CHARS = 64
MAX_MAGNITUDE = 1e9
"""Numbers beyond this are somebody's bug, not a signal; they would drown every other feature."""


def flat(attributes: Mapping[str, Attribute]) -> dict[str, FeatureValue]:
    """Features of a content: of several categories at once, one each.

    >>> flat({"price": 9.5, "genres": ("War", "Western")})
    {'price': 9.5, 'genres.War': 1.0, 'genres.Western': 1.0}
    """
    features: dict[str, FeatureValue] = {}
    for name, value in attributes.items():
        if isinstance(value, tuple):
            features |= {f"{name}.{member}": 1.0 for member in value}
        else:
            features[name] = value
    return features


def clean(value: object) -> FeatureValue | None:
    """Bound one raw value, or give None where it cannot be a feature.

    >>> clean(3), clean(True), clean("blue"), clean(float("nan")), clean([1]), clean(1e12)
    (3.0, 1.0, 'blue', None, None, 1000000000.0)
    """
    if isinstance(value, str):
        return value[:MAX_CATEGORY_CHARS] or None
    if isinstance(value, int | float):  # a bool is an int
        try:
            number = float(value)
        except OverflowError:
            return None
        if not math.isfinite(number):
            return None
        return max(-MAX_MAGNITUDE, min(MAX_MAGNITUDE, number))
    return None


def pack(features: Mapping[str, FeatureValue]) -> msgspec.Raw:
    """Features as they travel with a decision until it closes: nobody on the way looks into them."""
    return msgspec.Raw(_encoder.encode(features)) if features else NO_FEATURES


def unpack(packed: msgspec.Raw) -> dict[str, FeatureValue]:
    """The features back.

    >>> unpack(pack({"hour": 3.0, "device": "mobile"}))
    {'hour': 3.0, 'device': 'mobile'}
    """
    return _decoder.decode(packed)


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[dict[str, FeatureValue]] = msgspec.msgpack.Decoder(dict[str, FeatureValue])

NO_FEATURES = msgspec.Raw(_encoder.encode({}))


def storable(text: str) -> bool:
    """Lone surrogates pass through JSON but into no snapshot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
