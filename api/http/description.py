"""What a route takes and gives, said beside it: the API's description (OpenAPI) is made of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from api.http.query import Query

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One kind of answer.

    Attributes
    ----------
    what
        In a few words.
    types
        By media type, what its body holds; no body where there is none. Several types: one of them.
    headers
        Those that tell something, with what they tell.
    """

    what: str
    types: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a route does, takes, and gives.

    Attributes
    ----------
    summary
        What it does, in a few words.
    given
        Its answers by status, but for errors.
    body
        What its body holds; empty: it has none. Several types: one of them.
    query
        The parameters of its address.
    headers
        Request headers that it looks at beside those of every route, with what they say.
    errors
        Statuses of errors, beside those that follow from its permission and its body.
    parts
        Types that stand in all this as a reference alone (``api.reading.json_schema.component``).
    example
        A body that it takes.
    """

    summary: str
    given: Mapping[int, Given]
    body: tuple[Any, ...] = ()
    query: type[Query] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    parts: tuple[Any, ...] = ()
    example: Any = None


def json_of(*types: Any, what: str, headers: Mapping[str, str] = _NONE) -> Given:
    """An answer of JSON: one of ``types``."""
    return Given(what=what, types={"application/json": types}, headers=headers)
