"""The rules of the example shop hold for whom they are meant."""

from __future__ import annotations

from config.loader import load_catalog, shipped_catalog
from personalization.audience.variables import VisitorScope
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.events.entry import Entry, Position
from personalization.events.event import Track
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor

AT_MS = 1_760_000_000_000


def test_one_coupon_makes_a_bargain_hunter_for_a_month() -> None:
    catalog = compile_catalog(load_catalog(shipped_catalog()), 1)
    visitor = Visitor.new()
    event = Track(message_id="m", event="Coupon Applied")
    entry = Entry(received_at_ms=AT_MS, occurred_at_ms=AT_MS, catalog_version=1, event=event)
    fold(visitor, "a:1", Position(1, 0), entry, catalog)
    for later_ms, is_one in ((0, True), (1, True), (DAY_MS, True), (29 * DAY_MS, True), (31 * DAY_MS, False)):
        segments = VisitorScope(visitor.state, {}, catalog, AT_MS + later_ms, False).value("segments")
        assert ("bargain_hunter" in segments) is is_one, later_ms
