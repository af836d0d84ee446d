"""Variants of a placement: what is different for a share of its visitors, so that ways of filling it compare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import structs

from personalization.catalog.check import Check
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.spec import Share, Spec
from personalization.catalog.split import CONTROL
from personalization.visitor.choice import model_key

if TYPE_CHECKING:
    from personalization.catalog.sections.placements import Placement

MAX_VARIANTS = 8
"""Each may have a model of its own in every process, and splits what there is to learn from."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
_TAKEN = frozenset({CONTROL, "holdout", "treated"})


class PlacementVariant(Spec, frozen=True, kw_only=True):
    """What a share of visitors gets in place of what the placement says.

    Attributes
    ----------
    share
        Of all visitors who are not held out, [0, 1]. Who is in no variant gets the placement as it is written.
    policy
        How it explores; the placement's if absent.
    model
        Its reward model; the placement's if absent.
    model_parameters
        Keyword arguments of the model's constructor; the placement's if neither they nor a model stands here.
    features
        Names of what the model may look at; the placement's if absent.
    content
        Ids of its arms, in order; the placement's if absent.
    learn
        Whether its model learns from its own visitors alone (``own``), or the placement's model learns from them
        too and decides for them (``shared``). Only with ``own`` do two variants compare as two ways of learning.
    """

    share: Share
    policy: PolicySpec | None = None
    model: str | None = None
    model_parameters: dict[str, Any] | None = None
    features: tuple[str, ...] | None = None
    content: tuple[str, ...] | None = None
    learn: Literal["own", "shared"] = "own"

    @property
    def is_shared(self) -> bool:
        """Whether it has no model of its own."""
        return self.learn == "shared"

    @property
    def names_a_model(self) -> bool:
        """Whether it says anything of its model."""
        return self.model is not None or self.model_parameters is not None


def as_varied(placement: Placement, variant: PlacementVariant) -> Placement:
    """The placement as it is for those who are in the variant.

    >>> from personalization.catalog.sections.placements import Placement
    >>> hero = Placement(content=("a", "b"), default="a", model="arm_linear", model_parameters={"l2": 2.0})
    >>> varied = as_varied(hero, PlacementVariant(share=0.5, content=("b",)))
    >>> varied.content, varied.model, varied.model_parameters
    (('b',), 'arm_linear', {'l2': 2.0})
    >>> as_varied(hero, PlacementVariant(share=0.5, model="default")).model_parameters
    {}
    """
    other = {name: getattr(variant, name) for name in ("policy", "model", "features", "content")}
    if variant.names_a_model:
        other["model_parameters"] = variant.model_parameters or {}
    said = {name: value for name, value in other.items() if value is not None}
    return structs.replace(placement, **said, variants={}, challenger=None)


def check_variants(check: Check, where: str, variants: Mapping[str, PlacementVariant]) -> None:
    """Note what is wrong with the variants of the placement at ``where``, their contents aside."""
    check.demand(len(variants) <= MAX_VARIANTS, f"{where}.variants", f"are at most {MAX_VARIANTS}")
    for name, variant in variants.items():
        here = f"{where}.variants.{name}"
        check.demand(0 <= variant.share <= 1, f"{here}.share", "is a share: 0 or more, at most 1")
        if name in _TAKEN:
            check.fail(here, f"{name!r} is what held-out visitors are called by; choose another name")
        elif not _NAME.fullmatch(name):
            check.fail(here, "stands in metrics and names of models: use at most 32 letters, digits, - and _")
        for field in ("model", "model_parameters", "features"):
            if variant.is_shared and getattr(variant, field) is not None:
                message = "cannot differ where the placement's model is shared; leave out this or learn: shared"
                check.fail(f"{here}.{field}", message)
    total = sum(variant.share for variant in variants.values())
    if total > 1 + 1e-9 and all(0 <= variant.share <= 1 for variant in variants.values()):
        message = f"have shares of {total:.4g}, more than everybody; lower them to 1 (100%) together, or less"
        check.fail(f"{where}.variants", message)


def check_model_names(check: Check, placements: Mapping[str, Placement]) -> None:
    """Note placements that have the name of a variant's model."""
    for name, placement in placements.items():
        for variant, spec in placement.variants.items():
            key = model_key(name, variant, shared=spec.is_shared)
            if key != name and key in placements:
                message = f"is the name of the model of {name}'s variant {variant!r} too; rename one of them"
                check.fail(f"placements.{key}", message, "duplicate_name")
