"""A feature of the context as a sentence about the visitor."""

from __future__ import annotations

from personalization.catalog.duration import DAY_MS
from personalization.explaining.number_words import about
from personalization.features import Features, FeatureValue

_PLAIN = {
    "cart_value": "the cart is worth {}",
    "device": "the device is {}",
    "event_count": "the number of events known of the visitor is {}",
    "hour": "it is {} o'clock",
    "n_orders": "the number of orders is {}",
    "revenue": "the visitor has spent {}",
    "session.n_events": "the number of events of this visit is {}",
    "session.n_views": "the number of page views of this visit is {}",
    "session.number": "it is visit number {}",
}
_LENGTHS = {
    "days_since_first": ("the first visit was {} ago", DAY_MS),
    "days_since_last": ("the last visit was {} ago", DAY_MS),
    "session.seconds": ("this visit has taken {}", 1_000),
}
_ABSENT = {
    "affinities": "no liking for {} is known",
    "counts": "no {} is known of the visitor",
    "segments": "the visitor is not known to be in the segment {}",
}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OF_ENTRIES = {
    "affinities": "the liking for {} is {}",
    "context": "the request's {} is {}",
    "counts": "the count of {} is {}",
    "scores": "the score {} is {}",
    "tiers": "the tier of {} is {}",
    "traits": "the visitor's {} is {}",
    "trends": "the score {} is {}",
}


def feature_words(name: str, features: Features) -> str:
    """What a feature says of the visitor.

    >>> known = {"affinities.category.shoes": 2.41, "device": "mobile", "counts.Viewed": 3.0, "weekday": 0.0}
    >>> feature_words("affinities.category.shoes", known), feature_words("device", known)
    ('the liking for shoes (category) is 2.4', 'the device is mobile')
    >>> feature_words("counts.Viewed", known), feature_words("weekday", known)
    ('the count of Viewed is 3', 'it is Monday')
    >>> feature_words("traits.plan", known), feature_words("segments.vip", {"segments.vip": 1.0})
    ('nothing is known of traits.plan', 'the visitor is in the segment vip')
    >>> feature_words("segments.vip", known), feature_words("counts.Ordered", known)
    ('the visitor is not known to be in the segment vip', 'no Ordered is known of the visitor')
    >>> feature_words("days_since_last", {"days_since_last": 0.0005})
    'the last visit was 43 seconds ago'
    """
    value = features.get(name)
    if value is None:
        return _absent(name)
    if name == "known":
        return "the visitor is logged in" if value else "the visitor is not logged in"
    if name == "weekday" and isinstance(value, float) and value in range(7):
        return f"it is {_WEEKDAYS[int(value)]}"
    first, _, rest = name.partition(".")
    if first == "segments" and rest:
        return f"the visitor is in the segment {rest}"
    if name in _LENGTHS and isinstance(value, int | float):
        sentence, unit_ms = _LENGTHS[name]
        return sentence.format(about(value * unit_ms))
    if name in _PLAIN:
        return _PLAIN[name].format(_said(value))
    if rest and first in _OF_ENTRIES:
        return _OF_ENTRIES[first].format(_entry(first, rest), _said(value))
    return f"{name} is {_said(value)}"


def _absent(name: str) -> str:
    first, _, rest = name.partition(".")
    if rest and first in _ABSENT:
        return _ABSENT[first].format(_entry(first, rest))
    return f"nothing is known of {name}"


def _entry(first: str, rest: str) -> str:
    family, _, key = rest.partition(".")
    return f"{key} ({family})" if first == "affinities" and key else rest


def _said(value: FeatureValue) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
