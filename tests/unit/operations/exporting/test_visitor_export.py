"""Rows of visitors as they are now: each once, nobody who refused, and what only a request tells is said."""

from __future__ import annotations

import json
from pathlib import Path

from online_models.conversion.checkpoint import Served
from online_models.conversion.contender import Contender
from operations.exporting.columns import Row, What
from operations.exporting.progress import Asked, Progress, Standing
from operations.exporting.rows_file import RowsFile
from operations.exporting.visitor_export import UNTOLD, export_visitors
from operations.exporting.visitor_rows import VisitorRows
from personalization.bounded import short_hash
from personalization.catalog.catalog import Catalog, Conversion
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import VisitorState

NOW = 1_700_000_000_000
SEGMENTS = {"buyers": "n_orders > 0", "phones": "device == 'mobile'", "likely": "has(scores.buys)"}


def catalog() -> CompiledCatalog:
    buys = Conversion(event="Bought")
    return compile_catalog(Catalog(placements={}, content={}, segments=SEGMENTS, conversions={"buys": buys}), 3)


class Walk:
    """Visitors page by page."""

    def __init__(self, *pages: dict[str, VisitorState]) -> None:
        self._pages = pages

    async def step(self, cursor: int) -> tuple[int, dict[str, VisitorState]]:
        return (cursor + 1) % len(self._pages), self._pages[cursor]


def visitor(n_orders: int = 0, unit: bytes = b"", **more: object) -> VisitorState:
    state = VisitorState(first_ms=NOW, last_ms=NOW, n_orders=n_orders, unit=unit)
    for name, value in more.items():
        setattr(state, name, value)
    return state


async def exported(folder: Path, walk: Walk, visitor_rows: VisitorRows, what: What) -> tuple[list[Row], Standing]:
    with Progress(folder / "progress") as progress:
        progress.begin(Standing(asked=Asked(what=what)))
        with RowsFile(folder / "rows", 0) as rows:
            await export_visitors(walk, visitor_rows, progress, rows, lambda _: None, lambda: NOW + 5)
        assert progress.standing is not None
        return [json.loads(line) for line in (folder / "rows").read_text().splitlines()], progress.standing


async def test_each_visitor_has_their_segments_once(tmp_path: Path) -> None:
    refused = {"personalization": Word(False, NOW)}
    walk = Walk(
        {"a:1": visitor(1, b"unit of1"), "a:2": visitor()},
        {
            "a:1": visitor(1),
            "u:3": visitor(2),
            "a:4": visitor(1, consents=refused),
            "a:5": visitor(1, redirect="u:3"),
        },
    )
    rows, standing = await exported(
        tmp_path, walk, VisitorRows(What.SEGMENTS, catalog(), {}, with_ids=False), What.SEGMENTS
    )
    moment = {"last_event_ms": NOW, "as_of_ms": NOW + 5}
    assert rows == [
        {"visitor": b"unit of1".hex(), "registered": False, "segment": "buyers", **moment},
        {"visitor": short_hash("u:3").hex(), "registered": True, "segment": "buyers", **moment},
    ]
    assert standing.left_out == {UNTOLD: 1}
    assert standing.n_rows == 2


def test_a_segment_that_only_a_request_tells_is_named() -> None:
    assert VisitorRows(What.SEGMENTS, catalog(), {}, with_ids=False).not_listed == ["phones"]
    assert VisitorRows(What.SCORES, catalog(), {}, with_ids=False).not_listed == []


async def test_what_is_learned_is_a_score_and_may_make_a_segment(tmp_path: Path) -> None:
    models = {"buys": Served(Contender(), "buys", 1)}
    walk = Walk({"a:1": visitor()})
    rows, _ = await exported(
        tmp_path, walk, VisitorRows(What.SCORES, catalog(), models, with_ids=True), What.SCORES
    )
    (row,) = rows
    assert (row["visitor_id"], row["score"], row["kind"]) == ("a:1", "buys", "probability")
    assert 0.0 < row["value"] < 1.0
    inside = VisitorRows(What.SEGMENTS, catalog(), models, with_ids=False).of("a:1", visitor(), NOW)
    assert inside is not None
    assert [row["segment"] for row in inside] == ["likely"]
