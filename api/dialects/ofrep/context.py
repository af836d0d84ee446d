"""What OFREP's clients send: an evaluation context, whose ``targetingKey`` says whose it is."""

from __future__ import annotations

from typing import Any

from api.evaluating import FlagId
from api.reading.wire import Reader, Wire

MISSING_KEY = "missing_targeting_key"
TARGETING_KEY = FlagId("targetingKey", "context", MISSING_KEY)


class WireEvaluation(Wire, frozen=True, kw_only=True):
    """What is asked: an evaluation of one flag or of all, the same."""

    context: dict[str, Any] | None = None


class _AnyEvaluation(WireEvaluation, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


EVALUATION: Reader[WireEvaluation] = Reader(WireEvaluation, _AnyEvaluation)
