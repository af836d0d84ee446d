"""Which placement a request is about: the one its address names, else the only one whose arms callers bring."""

from __future__ import annotations

from collections.abc import Mapping

from api.errors import ApiError
from personalization.catalog.compiled_catalog import CompiledCatalog

UNKNOWN_LOOP = "unknown_placement"


def placement_of(params: Mapping[str, str], catalog: CompiledCatalog) -> str:
    """The placement's name.

    Raises
    ------
    ApiError
        404 where there is no such placement, or the address names none and several could be meant.
    """
    named = params.get("placement")
    if named is not None:
        placement = catalog.placements.get(named)
        if placement is not None and placement.spec.arms == "caller":
            return named
        what = "has arms of its own" if placement is not None else "is not in the catalog"
        raise ApiError(404, UNKNOWN_LOOP, f"{named[:64]!r} {what}; {_known(_loops(catalog))}", "endpoint")
    loops = _loops(catalog)
    if len(loops) == 1:
        return loops[0]
    raise ApiError(404, UNKNOWN_LOOP, f"names no placement; {_known(loops)}", "endpoint")


def _loops(catalog: CompiledCatalog) -> list[str]:
    return [name for name, each in catalog.placements.items() if each.spec.arms == "caller"]


def _known(loops: list[str]) -> str:
    if not loops:
        return "write one with 'arms: caller' in the catalog"
    return f"end your endpoint in /placements/NAME, of: {', '.join(sorted(loops)[:20])}"
