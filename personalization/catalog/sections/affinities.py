"""What visitors like: decayed weights by key, raised by events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from personalization.catalog.check import Check
from personalization.catalog.duration import DAY_MS
from personalization.catalog.rules import Rule
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.spec import Cel, Spec
from personalization.catalog.vocabulary import EVENT, EVENT_VARIABLES

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog


class AffinityRule(Spec, frozen=True, kw_only=True):
    """Which events raise which keys of an affinity.

    Attributes
    ----------
    event
        The event's name.
    key
        Dotted path into the event (``properties.category``), its fields (``fields.category``) or the content that
        it names (``content.features.section``): a text, or a list of texts.
    weight
        Added to each key named.
    when
        CEL over the event; holds if absent.
    """

    event: str
    key: str
    weight: float = 1.0
    when: Cel | None = None


class AffinitySpec(Spec, frozen=True, kw_only=True):
    """An affinity: decayed weights by key.

    Attributes
    ----------
    rules
        Which events raise it.
    half_life_ms
        The time in which a weight fades to half; None: time does not fade it.
    decay_per_event
        Factor on all weights before each event that raises one, (0, 1].
    """

    rules: tuple[AffinityRule, ...]
    half_life_ms: int | None = 14 * DAY_MS
    decay_per_event: float = 1.0


@dataclass(frozen=True, slots=True)
class CompiledAffinity:
    """An affinity rule, ready: one event raises the keys at ``path``."""

    name: str
    spec: AffinitySpec
    path: tuple[str, ...]
    weight: float
    when: Rule | None


class AffinitySection(Section[AffinitySpec]):
    """``affinities``."""

    name = "affinities"
    noun = "affinity"
    defines = ("affinities",)

    def rules(self, where: str, spec: AffinitySpec) -> Iterator[RuleAt]:
        """Which events count."""
        for index, raising in enumerate(spec.rules):
            if raising.when is not None:
                yield RuleAt(f"{where}.rules[{index}].when", raising.when, EVENT, "yes_no", raising.event)

    def events(self, where: str, spec: AffinitySpec) -> Iterator[tuple[str, str]]:
        """Those that raise it."""
        for index, raising in enumerate(spec.rules):
            yield f"{where}.rules[{index}].event", raising.event

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: AffinitySpec) -> None:
        """Its rules by event."""
        where = f"affinities.{name}"
        check.demand(0 < spec.decay_per_event <= 1, f"{where}.decay_per_event", "must lie in (0, 1]")
        check.demand(spec.half_life_ms is None or spec.half_life_ms > 0, f"{where}.half_life", "must be positive")
        for index, rule in enumerate(spec.rules):
            here = f"{where}.rules[{index}]"
            path = tuple(rule.key.split("."))
            check.demand(
                path[0] in EVENT_VARIABLES and all(path),
                f"{here}.key",
                f"must be a dotted path that starts with one of {', '.join(sorted(EVENT_VARIABLES))}",
            )
            made = CompiledAffinity(name, spec, path, rule.weight, check.of_event(rule.when, f"{here}.when"))
            for event in compiled.events.names(rule.event):
                compiled.affinities_by_event.setdefault(event, []).append(made)
