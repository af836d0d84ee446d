"""The arms of a placement and of its variants: contents that it names, items by tags, or what callers bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personalization.catalog.check import Check, nearest
from personalization.catalog.sections.content import MAX_TAG_CHARS, Arm

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog
    from personalization.catalog.sections.placements import Placement


def own_arms(check: Check, compiled: CompiledCatalog, where: str, spec: Placement) -> list[Arm]:
    """The arms that the catalog names; checks that there is a default, unless callers bring both."""
    if spec.arms == "caller":
        _check_brought(check, where, spec)
        return []
    for index, tag in enumerate(spec.tags):
        here = f"{where}.tags[{index}]"
        check.demand(1 <= len(tag) <= MAX_TAG_CHARS, here, f"must have 1 to {MAX_TAG_CHARS} characters")
    arms = named_arms(check, compiled, where, spec.content, spec.tags)
    if not spec.default:
        check.fail(
            f"{where}.default", "is missing: The content served when nothing may be decided", "missing_field"
        )
    elif spec.default not in compiled.arms:
        _fail_content(check, compiled, f"{where}.default", spec.default)
    return arms


def _check_brought(check: Check, where: str, spec: Placement) -> None:
    """Note what names arms of the catalog, in the placement or a variant, though callers bring the arms."""
    written = [f"{where}.{name}" for name in ("content", "tags", "default", "sticky") if getattr(spec, name)]
    written += [
        f"{where}.variants.{name}.content" for name, each in spec.variants.items() if each.content is not None
    ]
    for here in written:
        message = "has no meaning where callers bring the arms; leave it out, or leave out arms: caller"
        check.fail(here, message)


def named_arms(
    check: Check, compiled: CompiledCatalog, where: str, contents: tuple[str, ...], tags: tuple[str, ...]
) -> list[Arm]:
    """Those of the contents that there are; the others are noted."""
    known: list[Arm] = []
    check.demand(bool(contents or tags), f"{where}.content", "must name at least one content, or tags of items")
    for index, content in enumerate(contents):
        if content in compiled.arms:
            known.append(compiled.arms[content])
        else:
            _fail_content(check, compiled, f"{where}.content[{index}]", content)
    check.demand(len(set(contents)) == len(contents), f"{where}.content", "names a content twice")
    return known


def _fail_content(check: Check, compiled: CompiledCatalog, where: str, name: str) -> None:
    remedy = nearest(name, compiled.arms, "define it under content")
    check.fail(where, f"no content {name!r}; {remedy}", "unknown_name")
