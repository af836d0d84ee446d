"""Visitors as they are now as rows: their scores, and the segments they are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from api.process.conversions import shown_scores
from online_models.conversion.checkpoint import Served
from operations.exporting.columns import Row, What
from personalization.audience.conversion_scores import Scores
from personalization.audience.score_report import score_report
from personalization.audience.segment_lists import OF_REQUESTS, is_listed
from personalization.audience.variables import VisitorScope
from personalization.bounded import short_hash
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState


class VisitorRows:
    """Makes rows of visitors, by a catalog and its models.

    Attributes
    ----------
    not_listed
        Segments that only a request of the visitor tells: nobody can be listed as in them.
    """

    def __init__(
        self, what: What, catalog: CompiledCatalog, models: Mapping[str, Served], *, with_ids: bool
    ) -> None:
        self._rows = self._scores if what is What.SCORES else self._segments
        self._catalog = catalog
        self._models = models
        self._with_ids = with_ids
        of_requests = [name for name, rule in catalog.segments.items() if rule.variables & OF_REQUESTS]
        self.not_listed = of_requests if what is What.SEGMENTS else []
        self._rules = {name: rule for name, rule in catalog.segments.items() if name not in of_requests}

    def of(self, key: str, state: VisitorState, now_ms: int) -> list[Row] | None:
        """The rows of one visitor at ``now_ms``; None: nothing of theirs may be told."""
        if not is_listed(state):
            return None
        at_ms = max(now_ms, state.now_ms)
        visitor: Row = {"visitor": (state.unit or short_hash(key)).hex()}
        if self._with_ids:
            visitor["visitor_id"] = key
        visitor["registered"] = is_registered(key)
        moment = {"last_event_ms": state.last_ms or None, "as_of_ms": at_ms}
        scope = VisitorScope(state, {}, self._catalog, at_ms, is_registered(key), Scores(self._models, []))
        return [{**visitor, **told, **moment} for told in self._rows(scope)]

    def _scores(self, scope: VisitorScope) -> Iterator[Row]:
        likely = {name: score["probability"] for name, score in shown_scores(self._models, scope).items()}
        for name, probability in likely.items():
            yield {"score": name, "kind": "probability", "value": probability, "tier": None, "trend": None}
        for name, told in score_report(scope, likely).items():
            yield {
                "score": name,
                "kind": "points",
                "value": told["points"],
                "tier": told.get("tier"),
                "trend": told.get("trend"),
            }

    def _segments(self, scope: VisitorScope) -> Iterator[Row]:
        for name, rule in self._rules.items():
            if scope.holds(rule):
                yield {"segment": name}
