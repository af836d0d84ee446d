"""Tiers by shares of all visitors: how they are written, and the thresholds that were computed of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from personalization.bounded import short_hash
from personalization.catalog.spec import Share, Spec

if TYPE_CHECKING:
    from personalization.catalog.catalog import Catalog

REST = "rest"
"""The tier of everybody else, unless the catalog names it."""

MIN_VISITORS = 100
"""Of fewer there are no thresholds: a tenth of them is a handful, of whom each moves the threshold."""

_TOP = re.compile(r"top\s+(?P<percent>\d{1,3}(\.\d{1,6})?)\s*%", re.IGNORECASE)


class TopShare(Spec, frozen=True, kw_only=True):
    """The visitors with the most points: so large a share of all of them at most.

    Attributes
    ----------
    top
        The share, above 0 and below 1; 1 is everybody else: the lowest tier.
    """

    short_form: ClassVar[str] = "top 10%"
    short_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^\s*([Tt]op\s+\d{1,3}(\.\d{1,6})?\s*%|[Rr]est)\s*$",
        "examples": ["top 10%", "rest"],
    }

    top: Share

    @classmethod
    def from_short(cls, text: str) -> TopShare | None:
        """``top 10%`` or ``rest``; None if the text is neither.

        >>> TopShare.from_short("top 2.5%"), TopShare.from_short("Rest"), TopShare.from_short("top 10")
        (TopShare(top=0.025), TopShare(top=1.0), None)
        """
        text = text.strip()
        if text.lower() == REST:
            return cls(top=1.0)
        match = _TOP.fullmatch(text)
        return None if match is None else cls(top=float(match["percent"]) / 100)

    @property
    def words(self) -> str:
        """As it is written.

        >>> TopShare(top=0.025).words, TopShare(top=1.0).words
        ('top 2.5%', 'rest')
        """
        return REST if self.top >= 1 else f"top {100 * self.top:.6g}%"


class TierThresholds(msgspec.Struct, frozen=True):
    """Where the tiers of one score begin, as it was computed of all visitors.

    Attributes
    ----------
    measured
        Stands for what gives the score its points: thresholds of other points say nothing (``measured_by``).
    at_ms
        When they were computed, in milliseconds since 1970.
    n_visitors
        Of how many visitors.
    points
        By share, from how many points on; None: so many have as many points that nobody is within the share.
    """

    measured: str
    at_ms: int
    n_visitors: int
    points: tuple[tuple[float, float | None], ...]

    def covers(self, shares: frozenset[float]) -> bool:
        """Whether they say where all of these shares begin."""
        return shares <= dict(self.points).keys()


def shares_of(tiers: Mapping[str, float | TopShare]) -> dict[str, float]:
    """By tier, the share of visitors that it is for, the lowest 1; empty if the tiers are by points.

    >>> shares_of({"hot": TopShare(top=0.1)}), shares_of({"hot": 50, "cold": 0})
    ({'hot': 0.1, 'rest': 1.0}, {})
    """
    found = {tier: each.top for tier, each in tiers.items() if isinstance(each, TopShare)}
    return found if not found or 1.0 in found.values() else {**found, REST: 1.0}


def measured_by(catalog: Catalog, name: str) -> str:
    """Stands for all that says how many points a visitor has of a score.

    The catalog is one as it is read from its store: there numbers are of one kind. What has its default is left
    out, so that a later release, which knows of more, says the same of an old catalog.
    """
    score = catalog.scores[name]
    said = [
        (
            *(each.events, each.traits, sorted(each.groups.items())),
            *(each.half_life_ms, each.expires_ms, each.range, sorted(each.blend.items())),
        )
        for each in (score, *(catalog.scores[part] for part in score.blend if part in catalog.scores))
    ]
    return short_hash(msgspec.json.encode(said).decode(), 6).hex()


def thresholds_kept(catalog: Catalog, *known: Mapping[str, TierThresholds]) -> dict[str, TierThresholds]:
    """Of thresholds that were computed, those that hold for the scores of a catalog; the first known go first."""
    found: dict[str, TierThresholds] = {}
    for name, score in catalog.scores.items():
        if shares_of(score.tiers):
            measured = measured_by(catalog, name)
            for each in reversed(known):
                if name in each and each[name].measured == measured:
                    found[name] = each[name]
    return found
