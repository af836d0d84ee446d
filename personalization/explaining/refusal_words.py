"""Why an arm may not be shown, in plain words."""

from __future__ import annotations

from personalization.deciding.eligibility import (
    CAP,
    ENDED,
    EXCLUDED,
    NO_STATE,
    NOT_STARTED,
    RULE,
    STOCK,
    TAKEN,
    TYPE,
)
from personalization.explaining.rule_reasons import RuleReason

_WORDS = {
    CAP: "the visitor has seen it, or what it is counted with, as often as its cap lets them",
    ENDED: "it has ended",
    EXCLUDED: "the caller left it out",
    NO_STATE: "nothing may be known of the visitor here, and it has a cap or a rule about them",
    NOT_STARTED: "it has not started yet",
    RULE: "its rule does not hold",
    STOCK: "it is out of stock",
    TAKEN: "it stands in an earlier slot or placement",
    TYPE: "it is of another type than was asked for",
}


def refusal_words(reason: str, rule: RuleReason | None = None) -> str:
    """The reason as a sentence; of a rule with the conditions that failed.

    >>> refusal_words("cap")
    'the visitor has seen it, or what it is counted with, as often as its cap lets them'
    """
    words = _WORDS.get(reason, reason)
    return f"{words}: {'; '.join(rule.failing)}" if rule is not None and rule.failing else words
