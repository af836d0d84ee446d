"""Catalogs, models and requests for tests of the decider."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from personalization.catalog.catalog import Cap, Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.decide import decide
from personalization.deciding.decider_catalog import PreparedCatalog, prepare
from personalization.deciding.decision import Answer
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.distribution import ArmDistribution, quantise
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.events.event import DecisionMade
from personalization.features import Features
from personalization.key_derivation import Secrets
from personalization.visitor.receipt import Receipt
from personalization.visitor.visitor_state import VisitorState
from tests.of_type import of_type

NOW = 1_700_000_000_000
KEYS = DecisionKeys.of(Secrets(b"test-secret"))


class Likes:
    """A scorer by hand: weights per arm, renormalised over the eligible ones; sees what it was asked."""

    def __init__(self, version: int = 7, **weights: float) -> None:
        self.version = version
        self.weights = weights
        self.asked: list[tuple[tuple[str, ...], dict[str, Any], Any]] = []

    def distribution(
        self,
        arms: Sequence[str],
        features: Features,
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> ArmDistribution:
        self.asked.append((tuple(arms), dict(features), arm_features))
        p = [self.weights.get(arm, 1.0) for arm in arms]
        means = tuple(value / 10 for value in p)
        return ArmDistribution(tuple(arms), quantise(p), means, (0.25,) * len(arms), policy.name, self.version)

    def distributions(
        self,
        arms: Sequence[str],
        contexts: Sequence[Features],
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> list[ArmDistribution]:
        return [self.distribution(arms, one, policy=policy, arm_features=arm_features) for one in contexts]


class Broken:
    """A scorer that fails."""

    def distribution(self, *_: Any, **__: Any) -> ArmDistribution:
        raise ZeroDivisionError("broken on purpose")

    distributions = distribution


def catalog(contents: dict[str, Content] | None = None, **placements: Placement) -> PreparedCatalog:
    if contents is None:
        contents = {name: Content(body={"title": name}) for name in ("red", "green", "blue")}
    if not placements:
        placements = {"hero": Placement(content=tuple(contents), default=next(iter(contents)))}
    return prepare(compile_catalog(Catalog(placements=placements, content=contents), version=3))


def capped(limit: int, per: Any = "session") -> Content:
    return Content(body="capped", cap=(Cap(limit=limit, per=per),))


def made(answer: Answer) -> list[DecisionMade]:
    """What a call decided, as it goes to the visitor log."""
    return [of_type(DecisionMade, entry.event) for entry in answer.entries]


def nonces() -> Callable[[], bytes]:
    counter = itertools.count(1)
    return lambda: next(counter).to_bytes(9, "big")


def ask(*placements: str | PlacementRequest, **terms: Any) -> DecideRequest:
    terms.setdefault("anonymous_id", "a1")
    terms.setdefault("consent_default", True)
    asked = tuple(PlacementRequest(p) if isinstance(p, str) else p for p in placements or ("hero",))
    return DecideRequest(request_id="r1", placements=asked, **terms)


def with_receipt(at_ms: int, *, granted: bool = True, **terms: Any) -> DecideRequest:
    """A request of a1's that brings their consent receipt."""
    receipt = Receipt("r-1", "a:a1", {"personalization": granted}, at_ms)
    return ask(receipt=receipt, said_lately=receipt.words(), heard=receipt.words(), **terms)


def run(
    shop: PreparedCatalog,
    request: DecideRequest | None = None,
    states: Sequence[VisitorState] | None = (),
    models: Mapping[str, Any] | None = None,
    **terms: Any,
) -> Answer:
    if models is None:
        models = {name: Likes() for name in shop.placements}
    terms.setdefault("keys", KEYS)
    terms.setdefault("nonce", nonces())
    return decide(request or ask(), states, shop, models, terms.pop("now_ms", NOW), **terms)
