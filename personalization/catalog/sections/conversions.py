"""What visitors may do soon: how likely it is becomes a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from personalization.catalog.check import Check
from personalization.catalog.duration import DAY_MS
from personalization.catalog.rules import Rule
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.spec import Cel, Spec
from personalization.catalog.vocabulary import EVENT

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog

MAX_CONVERSIONS = 8
"""Each keeps examples open per visitor and a model in every process."""

CONVERSION_KEY = "conversion:"
"""Before a conversion's name in the keys of ``outcomes``; no placement may begin so."""


class Conversion(Spec, frozen=True, kw_only=True):
    """Something visitors may do within a horizon: how likely it is becomes the score of that name.

    Attributes
    ----------
    event
        The event that is the conversion.
    when
        CEL over the event: which of them count; all if absent.
    horizon_ms
        It counts when it comes at most this long after a session's start.
    labels
        When a model learns whether it came: when the horizon has closed (``mature``), or at once, with what
        undoes the conversions still to come (``early``).
    model
        ``default``, or any River classifier by dotted name.
    model_parameters
        Keyword arguments of the model's constructor.
    features
        Names of what the model may look at; empty: the catalog's. No score that a model has a say in.
    """

    event: str
    when: Cel | None = None
    horizon_ms: int = 7 * DAY_MS
    labels: Literal["mature", "early"] = "mature"
    model: str = "default"
    model_parameters: dict[str, Any] = {}
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledConversion:
    """A conversion, ready: which events are it, and what its model looks at."""

    name: str
    spec: Conversion
    when: Rule | None
    features: tuple[str, ...]


class ConversionSection(Section[Conversion]):
    """``conversions``."""

    name = "conversions"
    noun = "conversion"
    defines = ("scores",)

    def rules(self, where: str, spec: Conversion) -> Iterator[RuleAt]:
        """Which events count."""
        if spec.when is not None:
            yield RuleAt(f"{where}.when", spec.when, EVENT, "yes_no", spec.event)

    def events(self, where: str, spec: Conversion) -> Iterator[tuple[str, str]]:
        """The one that is the conversion."""
        yield f"{where}.event", spec.event

    def features(self, where: str, spec: Conversion) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What its model looks at."""
        yield f"{where}.features", spec.features

    def compile_all(self, check: Check, compiled: CompiledCatalog, specs: Mapping[str, Conversion]) -> None:
        """All of them; there is a bound."""
        super().compile_all(check, compiled, specs)
        check.demand(len(specs) <= MAX_CONVERSIONS, "conversions", f"are at most {MAX_CONVERSIONS}")

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: Conversion) -> None:
        """By name, and by event."""
        where = f"conversions.{name}"
        check.demand_name(name, where, "scores.name")
        check.demand(bool(spec.event), f"{where}.event", "must name the event that is the conversion")
        check.demand(spec.horizon_ms > 0, f"{where}.horizon", "must be longer than nothing, e.g. 7d")
        for index, feature in enumerate(spec.features):
            if not _may_look_at(compiled, feature):
                message = "looks at what a model says; a conversion may look at single scores of events and traits"
                check.fail(f"{where}.features[{index}]", message)
        made = CompiledConversion(
            name,
            spec,
            check.of_event(spec.when, f"{where}.when"),
            spec.features or tuple(one for one in compiled.catalog.features if _may_look_at(compiled, one)),
        )
        compiled.conversions[name] = made
        for event in compiled.events.names(spec.event):
            compiled.conversions_by_event.setdefault(event, []).append(made)


def _may_look_at(compiled: CompiledCatalog, feature: str) -> bool:
    """Whether a conversion's model may have the feature: none that is made of what such models say."""
    first, *rest = feature.split(".")
    if first not in ("scores", "tiers", "trends"):
        return True
    conversions, scores = compiled.catalog.conversions, compiled.catalog.scores
    if not rest or rest[0] in conversions:
        return False
    return rest[0] not in scores or not scores[rest[0]].blend.keys() & conversions.keys()
