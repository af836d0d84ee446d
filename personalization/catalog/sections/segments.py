"""Names for groups of visitors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from personalization.catalog.check import Check
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.vocabulary import VISITOR

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog


class SegmentSection(Section[str]):
    """``segments``."""

    name = "segments"
    noun = "segment"
    defines = ("segments",)

    def rules(self, where: str, spec: str) -> Iterator[RuleAt]:
        """Who is in it."""
        yield RuleAt(where, spec, VISITOR, "yes_no")

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: str) -> None:
        """The rule."""
        rule = check.of_visitor(spec, f"segments.{name}")
        if rule is None:
            return
        if rule.mentions("segments"):
            message = "looks at segments, which could go in circles; write the other segment's rule out"
            check.fail(f"segments.{name}", message, "circle")
        compiled.segments[name] = rule
