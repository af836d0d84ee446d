"""A visitor's scores by rules as people read them: the points, the tier, the trend, and what made them."""

from __future__ import annotations

from typing import Any

from personalization.audience import rule_scores
from personalization.audience.tier_words import where_tier_begins
from personalization.audience.variables import VisitorScope
from personalization.visitor.purposes import PERSONALISING, may


def score_report(scope: VisitorScope, likely: dict[str, float]) -> dict[str, Any]:
    """Every score of the catalog, by name; none for who refused personalisation.

    ``because`` adds up to ``points``; what weighs most stands first.
    Of tiers by shares of visitors ``threshold`` says where they begin, and since when.

    Parameters
    ----------
    likely
        How likely each conversion is. A blend of one that is missing is left out.
    """
    state, scores = scope.state, scope.catalog.scores.by_name
    if state is None or not may(state.consents, PERSONALISING, default=True):
        return {}
    values = rule_scores.values(scores, scores, state, scope.now_ms, scope.holds, likely)
    tiers = rule_scores.tiers(scores, scores, state, values)
    report: dict[str, Any] = {}
    for name, points in values.items():
        because = rule_scores.explained(scores[name], state, scope.now_ms, scope.holds, {**likely, **values})
        report[name] = {"points": points}
        if name in tiers:
            report[name]["tier"] = tiers[name]
        if scores[name].shares and name in tiers:
            report[name]["threshold"] = where_tier_begins(scores[name], tiers[name])
        trend = rule_scores.trend_of(scores[name], state, scope.now_ms)
        if trend is not None:
            report[name]["trend"] = trend
        report[name]["because"] = [_shown(each) for each in because]
    return report


def _shown(contribution: rule_scores.Contribution) -> dict[str, Any]:
    shown: dict[str, Any] = {contribution.kind: contribution.name, "points": contribution.points}
    if contribution.when:
        shown["when"] = contribution.when
    if contribution.count is not None:
        shown["count"] = contribution.count
    return shown
