"""Challengers: a policy on trial beside the one in force, which it may replace."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from personalization.catalog.check import Check
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.spec import Spec

if TYPE_CHECKING:
    from personalization.catalog.sections.placements import Placement

PROMOTED: Literal["promoted"] = "promoted"
DEMOTED: Literal["demoted"] = "demoted"


class Challenger(Spec, frozen=True, kw_only=True):
    """A policy on trial: what it would have chosen is noted beside each decision, and what that would have brought.

    Attributes
    ----------
    policy
        How it would explore.
    promote
        Whether it takes the place of the placement's policy ``by_command`` (``nextbest promote``), or also by
        itself, once it would have brought more (``when_better``).
    """

    short_form: ClassVar[str] = "thompson"

    policy: PolicySpec
    promote: Literal["by_command", "when_better"] = "by_command"

    @classmethod
    def from_short(cls, text: str) -> Challenger | None:
        """A policy by its name alone."""
        return cls(policy=PolicySpec(name=text))


class Standing(msgspec.Struct, frozen=True):
    """What became of a placement's challenger.

    Attributes
    ----------
    contest
        Which two policies it is said of: said of others it means nothing.
    is_now
        ``promoted``: it is in force, and the placement's own policy is on trial. ``demoted``: it was in force, and
        is on trial again; by itself it is promoted no more.
    since_ms
        Since when, milliseconds since 1970.
    why
        For people.
    """

    contest: int
    is_now: Literal["promoted", "demoted"]
    since_ms: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Shadow:
    """The policy that is not in force, and is asked beside the one that is.

    Attributes
    ----------
    trial
        Names the two policies, and which of them is in force.
    """

    policy: PolicySpec
    trial: int


def contest_of(placement: Placement) -> int:
    """Four bytes, never 0, that stand for a placement's policy and that of its challenger.

    >>> from personalization.catalog.sections.placements import Placement
    >>> one, other = (
    ...     Placement(content=("a",), default="a", challenger=Challenger(policy=PolicySpec(name=name)))
    ...     for name in ("thompson", "linucb")
    ... )
    >>> contest_of(one) == contest_of(one) != contest_of(other)
    True
    """
    assert placement.challenger is not None
    return _named(placement.policy, placement.challenger.policy)


def put_in_force(placement: Placement, standing: Standing | None) -> tuple[Placement, Shadow | None]:
    """The placement with the policy that is in force, and the one that is asked beside it."""
    challenger = placement.challenger
    if challenger is None:
        return placement, None
    is_promoted = standing is not None and standing.is_now == PROMOTED and standing.contest == contest_of(placement)
    in_force, beside = placement.policy, challenger.policy
    if is_promoted:
        in_force, beside = beside, in_force
        placement = msgspec.structs.replace(placement, policy=in_force)
    return placement, Shadow(beside, _named(in_force, beside))


def check_challenger(check: Check, where: str, placement: Placement) -> None:
    """Note what keeps the challenger of the placement at ``where`` from being compared; its policy aside."""
    challenger = placement.challenger
    if challenger is None:
        return
    here = f"{where}.challenger"
    check.demand(challenger.policy != placement.policy, here, "is the placement's own policy; try another one")
    remedy = (
        "has nothing to be compared with: of an apprentice everybody sees the baseline; leave out one of the two"
    )
    check.demand(not placement.apprentice, here, remedy)


def _named(in_force: PolicySpec, beside: PolicySpec) -> int:
    # Field by field: a struct leaves out what is a default, and not what is equal to one.
    policies = [msgspec.structs.asdict(policy) for policy in (in_force, beside)]
    said = msgspec.json.encode(policies, order="deterministic")
    return int.from_bytes(hashlib.blake2b(said, digest_size=4).digest(), "big") or 1
