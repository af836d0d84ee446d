"""A merge as it travels: one entry of the log, or several where one would be larger than a log should have to take.

Merging adds up, map by map and decision by decision, so parts of a visitor merge to what the whole would: each
stands for itself. What is told of a visitor waits for the last. The first has all that can hold only one value.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from msgspec import structs

from personalization.events.event import Merged
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor_state import Affinity, VisitorState

MAX_PART_BYTES = 510 * 1024
"""With key, stamps and provenance an entry stays below 512 KiB; Kafka's topics take 1 MB unless told otherwise."""

_MAPS = ("counts", "cart", "traits", "exposures", "sticky", "holdouts", "windows")
"""What of a state may be split; consents go with the first part, whose refusal holds for what follows."""

_encode = msgspec.msgpack.Encoder().encode


def parts_of(merged: Merged, max_bytes: int = MAX_PART_BYTES) -> list[Merged]:
    """The merge in parts of at most ``max_bytes`` each, in the order they are to be folded in.

    Costs one encoding where nothing has to be split.

    >>> whole = Merged(source="a:1", state=VisitorState(cart={"p1": 1.0, "p2": 2.0}), folder=FolderState())
    >>> [part.state.cart for part in parts_of(whole, max_bytes=100)], parts_of(whole) == [whole]
    ([{'p1': 1.0}, {'p2': 2.0}], True)
    """
    *others, last = _split_up(merged, max_bytes)
    return [*(structs.replace(part, more=True) for part in others), last]


def _split_up(merged: Merged, max_bytes: int) -> list[Merged]:
    if len(_encode(merged)) <= max_bytes:
        return [merged]
    halves = _halved(merged)
    if halves is None:
        return [merged]
    return [part for half in halves for part in _split_up(half, max_bytes)]


def _halved(merged: Merged) -> tuple[Merged, Merged] | None:
    """The merge without half of what is largest in it, and that half; None where nothing is left to split."""
    state, folder, source = merged.state, merged.folder, merged.source
    _, name, size = max((each for each in _sizes(merged) if each[2] > 1), default=(0, "", 0))
    if not name:
        return None
    if name == "open":
        kept, rest = folder.open[: size // 2], folder.open[size // 2 :]
        first = Merged(source=source, state=state, folder=structs.replace(folder, open=kept))
        return first, Merged(source=source, state=VisitorState(), folder=FolderState(open=rest))
    family = name.removeprefix("affinities/")
    if family != name:
        affinity = state.affinities[family]
        head, tail = _split(affinity.weights)
        firsts = state.affinities | {family: Affinity(affinity.at_ms, head)}
        mine: dict[str, Any] = {"affinities": firsts}
        theirs: dict[str, Any] = {"affinities": {family: Affinity(affinity.at_ms, tail)}}
    else:
        head, tail = _split(getattr(state, name))
        mine, theirs = {name: head}, {name: tail}
    first = Merged(source=source, state=structs.replace(state, **mine), folder=folder)
    return first, Merged(source=source, state=VisitorState(**theirs), folder=FolderState())


def _sizes(merged: Merged) -> Iterator[tuple[int, str, int]]:
    """(bytes, name, entries) of what may be split."""
    state = merged.state
    yield len(_encode(merged.folder.open)), "open", len(merged.folder.open)
    for name in _MAPS:
        values = getattr(state, name)
        yield len(_encode(values)), name, len(values)
    for family, affinity in state.affinities.items():
        yield len(_encode(affinity.weights)), f"affinities/{family}", len(affinity.weights)


def _split(values: dict[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    half = len(values) // 2
    return dict(islice(values.items(), half)), dict(islice(values.items(), half, None))
