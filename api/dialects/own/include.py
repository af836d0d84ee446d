"""The content of a decision as a page includes it: HTML as it is, or JSON, with the decision in the headers."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import orjson

from api.dialects.own.decide_query import Format
from api.http.dialect import Reply
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision import Decision
from personalization.errors import InvalidInput

HTML = b"text/html; charset=utf-8"

DECISION_HEADERS = ("x-nextbest-decision-id", "x-nextbest-content-id", "x-nextbest-tier")

_HEADERS = [
    (b"cache-control", b"private, no-store"),
    (b"vary", b"authorization, x-api-key, user-agent, accept-language, sec-gpc"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),  # of a content that is opened as a page of ours
    (b"access-control-expose-headers", ", ".join(DECISION_HEADERS).encode()),
]


def check_includable(format_: Format, names: Sequence[str], catalog: PreparedCatalog) -> None:
    """Refuse what could become a content that cannot be included, before anything is decided and recorded.

    Contents of another type are not eligible in an include; only the default is shown whatever is eligible.

    Raises
    ------
    InvalidInput
        Where that is several placements, or one with a default of another type.
    """
    if len(names) > 1:
        raise InvalidInput("placement", f"format={format_} holds one placement; include each by itself", "too_many")
    placement = catalog.placements.get(names[0])
    if placement is None:
        return  # the decider says so
    default = placement.compiled.spec.default
    content = catalog.catalog.catalog.content.get(default)
    if content is not None and content.type != format_:
        message = (
            f"is {format_}, and {default[:64]!r}, the default of {names[0]!r}, is {content.type}; "
            f"write a default that is {format_}, or leave format out"
        )
        raise InvalidInput("format", message, "other_type")


def included(format_: Format, decisions: Sequence[Decision]) -> Reply:
    """The contents: their HTML one after the other, or a list of what their JSON is."""
    headers = [*_HEADERS, *zip((name.encode() for name in DECISION_HEADERS), _values(decisions), strict=True)]
    bodies = [decision.content[format_] for decision in decisions]
    if format_ == "html":
        return Reply(200, "".join(bodies).encode(), headers, HTML)
    return Reply(200, orjson.dumps(bodies), headers)


def _values(decisions: Sequence[Decision]) -> list[bytes]:
    return [
        ", ".join(quote(value, safe="") for value in values).encode()
        for values in (
            [decision.decision_id for decision in decisions],
            [decision.content_id for decision in decisions],
            [decision.tier for decision in decisions],
        )
    ]
