"""A decision as a feature of GrowthBook: its value, and the experiment of which an SDK tells once it is used."""

from __future__ import annotations

from typing import Any

from api.evaluating import value_of
from personalization.deciding.decision import Decision

DECISION_ID = "decisionId"


def feature_of(decision: Decision) -> dict[str, Any]:
    """The feature that a decision is.

    ``tracks`` are experiments that were evaluated remotely: an SDK that uses the feature calls its tracking
    callback with each, once for each hash value. That is the decision id here: what a visitor is shown is chosen by
    decision, and every SDK hands it to the callback.
    """
    value = value_of(decision.content)
    result = {
        "key": decision.content_id,
        "name": decision.content_id,
        "value": value,
        "variationId": 0,
        "inExperiment": True,
        "hashUsed": True,
        "hashAttribute": DECISION_ID,
        "hashValue": decision.decision_id,
        "featureId": decision.placement,
        "stickyBucketUsed": False,
    }
    experiment = {
        "key": decision.placement,
        "variations": [value],
        "meta": [{"key": decision.content_id, "name": decision.content_id}],
        "hashAttribute": DECISION_ID,
        "decision": {"propensity": decision.probability, "tier": decision.tier},
    }
    tracks = [{"experiment": experiment, "result": result}]
    return {"defaultValue": value, "rules": [{"id": decision.decision_id, "force": value, "tracks": tracks}]}


def fixed_feature(value: Any) -> dict[str, Any]:
    """A feature of which nothing was decided, so that there is nothing to tell of."""
    return {"defaultValue": value}
