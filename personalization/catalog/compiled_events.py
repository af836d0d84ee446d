"""What events mean, made ready: by the name of an event what it means, and where its fields stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from personalization.catalog.event_presets import Path
from personalization.catalog.rules import Rule
from personalization.catalog.vocabulary import COMMERCE_VARIABLES, TRAIT_EVENTS
from personalization.features import MAX_CATEGORY_CHARS


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field stands: the first path that leads to something, else what the rule gives.

    Attributes
    ----------
    keys
        Where all paths lead straight into the properties, or into the entry of a list: their last steps, in the
        same order.
    """

    paths: tuple[Path, ...] = ()
    rule: Rule | None = None
    keys: tuple[str, ...] = ()

    @classmethod
    def at(cls, paths: tuple[Path, ...], rule: Rule | None = None) -> Field:
        """At these paths.

        >>> Field.at((("properties", "total"),)).keys, Field.at((("context", "page", "path"),)).keys
        (('total',), ())
        """
        is_plain = all(len(path) == 2 and path[0] == "properties" for path in paths)
        return cls(paths, rule, tuple(path[1] for path in paths) if is_plain else ())

    @classmethod
    def in_entry(cls, paths: tuple[Path, ...]) -> Field:
        """At these paths within an entry of a list."""
        return cls(paths, None, tuple(path[0] for path in paths) if all(len(path) == 1 for path in paths) else ())


NOWHERE = Field()


@dataclass(frozen=True, slots=True)
class Mapped:
    """What an event means, and where its fields stand.

    Attributes
    ----------
    meaning
        Empty: it has none.
    fields
        By name; ``products`` is the list of them.
    product
        Of one of them, within its entry.
    """

    meaning: str
    fields: Mapping[str, Field]
    product: Mapping[str, Field]


NOTHING = Mapped("", {}, {})


class Condition(NamedTuple):
    """What an event means where a rule over it holds."""

    rule: Rule
    mapped: Mapped


class Latest:
    """The latest event that conditions were asked of, and what it means: the fold asks several times of each."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: tuple[object, Mapped | None] = (None, None)


class LeftOut:
    """Amounts that were left out since nobody said what their currency is worth.

    Attributes
    ----------
    n
        How many.
    currency
        That of the latest.
    """

    __slots__ = ("currency", "n")

    def __init__(self) -> None:
        self.n = 0
        self.currency = ""


class Mixed:
    """Amounts that were added to those of another currency, since nobody said which is counted.

    Attributes
    ----------
    n
        How many.
    first, other
        The currency that came first, and the latest that was not it.
    """

    __slots__ = ("first", "n", "other")

    def __init__(self) -> None:
        self.n = 0
        self.first = self.other = ""

    def note(self, currency: object) -> None:
        """Such an amount was added."""
        if currency == self.first or not isinstance(currency, str) or not currency:
            return
        code = currency.strip().upper()[:8]
        if not self.first:
            self.first = code
        elif code != self.first:
            self.n += 1
            self.other = code


@dataclass(frozen=True, slots=True)
class CompiledEvents:
    """What the events of a catalog mean.

    Attributes
    ----------
    is_written
        Whether the catalog has ``events``: only then meanings stand for the events that have them.
    by_event
        By the event's name.
    usual
        Where the fields of all other events stand.
    commerce
        Of ``by_event`` what changes cart, revenue or orders.
    conditions
        By the event's name what it means sometimes, asked in this order and before ``by_event``.
    names_by_meaning
        The events that have each meaning, its own name first.
    currency, rates
        What amounts are counted in, and what one of another currency is worth in it; empty: all are added up.
    """

    is_written: bool = False
    by_event: Mapping[str, Mapped] = field(default_factory=dict)
    usual: Mapped = NOTHING
    commerce: Mapping[str, Mapped] = field(default_factory=dict)
    conditions: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)
    names_by_meaning: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    currency: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)
    mixed: Mixed = field(default_factory=Mixed)
    latest: Latest = field(default_factory=Latest)

    def names(self, event: str) -> tuple[str, ...]:
        """The names under which an event arrives that the catalog calls ``event``: those it is a meaning of."""
        return self.names_by_meaning.get(event, (event,))

    def all_names(self, events: Iterable[str]) -> frozenset[str]:
        """The names of several."""
        return frozenset(name for event in events for name in self.names(event))

    def counted_names(self, events: Iterable[str]) -> tuple[str, ...]:
        """The names under which a visitor's counts have them, each once."""
        names = (name for event in events for name in self.names(event))
        return tuple(dict.fromkeys(name[:MAX_CATEGORY_CHARS] if self.is_written else name for name in names))

    def changing(self, variables: Collection[str]) -> frozenset[str]:
        """The events that change any of these ``vocabulary.STEADY_VARIABLES``."""
        found: frozenset[str] = frozenset()
        if not COMMERCE_VARIABLES.isdisjoint(variables):
            found |= self.commerce.keys()
        return found | TRAIT_EVENTS if "traits" in variables else found

    def meaning(self, event: str) -> str:
        """What the event of that name means; empty: nothing that stands for it."""
        found = self.by_event.get(event) if self.is_written else None
        return "" if found is None else found.meaning

    def rate(self, currency: object) -> float | None:
        """What one of ``currency`` is worth in the catalog's; None: nobody said."""
        if not self.currency or currency == self.currency or not isinstance(currency, str) or not currency:
            return 1.0
        code = currency.strip().upper()
        if code == self.currency:
            return 1.0
        rate = self.rates.get(code)
        if rate is None:
            self.left_out.n += 1
            self.left_out.currency = code[:8]
        return rate


NO_EVENTS = CompiledEvents()
