"""What ``/v1/decide`` answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from api.http.answer import Answer
from api.reading.json_schema import component
from api.reading.notice import Warned
from personalization.deciding.decision import Tier
from personalization.explaining.explanation import Explanation


class HtmlContent(Answer, frozen=True, kw_only=True):
    """A content that is HTML."""

    type: Literal["html"]
    html: str


class JsonContent(Answer, frozen=True, kw_only=True):
    """A content that is any JSON."""

    type: Literal["json"]
    json: Any


class RedirectContent(Answer, frozen=True, kw_only=True):
    """A content that is an address."""

    type: Literal["redirect"]
    url: str


CONTENT = "Content"
"""What the API's description calls any of them."""


class DecisionAnswer(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The choice for one slot.

    Attributes
    ----------
    content
        Ready to show.
    probability
        Of this choice, given those before it; exact.
    tier
        What the choice rests on.
    variant
        Of the placement; null: none.
    explanation
        Why; only if it was asked for.
    """

    placement: str
    slot: int
    decision_id: str
    content_id: str
    content: Annotated[msgspec.Raw, component(CONTENT)]
    probability: float
    policy: str
    tier: Tier
    reason: str
    holdout: bool
    variant: str | None
    explanation: Explanation | UnsetType = UNSET


class DecideAnswer(Answer, frozen=True, kw_only=True):
    """What was decided, and what it rests on.

    Attributes
    ----------
    state_age_ms
        Since what was last folded of the visitor; null: nobody known, or the state could not be read.
    state_revision
        Of the state that was read; null: it could not be.
    model_age_ms
        Of the oldest model that was asked; null: none was.
    """

    request_id: str
    decisions: list[DecisionAnswer]
    state_age_ms: int | None
    state_revision: int | None
    model_age_ms: int | None
    catalog_version: int
    warnings: list[Warned]
