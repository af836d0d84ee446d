"""What goes over the wire, typed: whom a decision is for, and what was decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, TypedDict, TypeVar

from nextbest_client.errors import NextbestError

T = TypeVar("T")


@dataclass(frozen=True)
class Visitor:
    """Whom it is about: a browser, a user, or both, which says that they are one person.

    Attributes
    ----------
    user_token, user_hash
        Proof of the user, where the source asks write keys for it.
    """

    anonymous_id: str | None = None
    user_id: str | None = None
    user_token: str | None = None
    user_hash: str | None = None


@dataclass(frozen=True)
class Placement:
    """A placement, of which so many slots are asked for."""

    placement: str
    slots: int


@dataclass(frozen=True)
class Decision:
    """What to show in one slot of a placement.

    Attributes
    ----------
    decision_id
        ``None`` where the caller's default stands in: there is nothing to reward.
    tier
        ``personalised``, ``contextual``, ``rules``, or ``default``.
    reason
        Why this one; of a default, what failed.
    """

    placement: str
    slot: int
    decision_id: str | None
    content_id: str | None
    content: Any
    probability: float
    policy: str
    tier: str
    reason: str
    holdout: bool
    variant: str | None


@dataclass(frozen=True)
class Warned:
    """What the server took, but not as it was sent."""

    field: str
    code: str
    message: str


@dataclass(frozen=True)
class Answer:
    """What was decided, one decision a slot; ``answer["home.hero"]`` is the first slot's.

    Attributes
    ----------
    error
        Why it is the caller's default; ``None`` if the server decided.
    """

    request_id: str
    decisions: tuple[Decision, ...]
    state_age_ms: int | None = None
    state_revision: int | None = None
    model_age_ms: int | None = None
    catalog_version: int | None = None
    warnings: tuple[Warned, ...] = ()
    error: NextbestError | None = None

    def __getitem__(self, placement: str) -> Decision:
        for decision in self.decisions:
            if decision.placement == placement:
                return decision
        raise KeyError(placement)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)


class EventFields(TypedDict, total=False):
    """Fields of an event beside those that its call names.

    Attributes
    ----------
    timestamp
        In ms since 1970, or a ``datetime``; now, unless given.
    """

    message_id: str
    timestamp: int | datetime | None
    context: Mapping[str, Any] | None


def camel(name: str) -> str:
    """The name of a field on the wire.

    >>> camel("state_age_ms")
    'stateAgeMs'
    """
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def sent(value: Any) -> dict[str, Any]:
    """One of these as it is sent; what is ``None`` is left out.

    Raises
    ------
    TypeError
        Where it is none of these.
    """
    if not is_dataclass(value):
        raise TypeError(f"{value!r} is no Visitor; pass one such as Visitor(anonymous_id='a1')")
    named = {camel(each.name): getattr(value, each.name) for each in fields(value)}
    return {name: held for name, held in named.items() if held is not None}


def received(kind: type[T], said: Mapping[str, Any], **given: Any) -> T:
    """One of these as it was received; fields that we do not know are left.

    Raises
    ------
    KeyError
        Names a field that is missing.
    """
    names = [each.name for each in fields(kind) if each.name not in given]  # type: ignore[arg-type]
    return kind(**{name: said[camel(name)] for name in names}, **given)


def answer_of(said: Mapping[str, Any]) -> Answer:
    """The server's answer to a decide.

    Raises
    ------
    KeyError
        Names a field that is missing.
    """
    decisions = tuple(received(Decision, each) for each in said["decisions"])
    warnings = tuple(received(Warned, each) for each in said["warnings"])
    return received(Answer, said, decisions=decisions, warnings=warnings, error=None)
