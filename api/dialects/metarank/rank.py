"""``POST /rank/{model}``: items that the caller brings, ranked; a model is a placement with ``arms: caller``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from api.dialects.metarank.fields import WireField, features_of, said_in
from api.dialects.metarank.visitors import visitor_of
from api.errors import ApiError
from api.http.answer import reply
from api.http.dialect import Call, Reply
from api.reading.ids import WireId, check_id
from api.reading.json_check import holds_nul, trouble_in
from api.reading.wire import Reader
from api.services.ports import Services
from api.services.ranking import ranked
from personalization.deciding.candidates import MAX_CANDIDATES, Candidates, passing_candidates
from personalization.deciding.request import PlacementRequest
from personalization.errors import InvalidInput
from personalization.features import FeatureValue, flat

MAX_BODY_BYTES = 1024 * 1024
_NO_STORE = [(b"cache-control", b"no-store")]


class WireItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item to be ranked; a number may be its id."""

    id: WireId
    fields: list[WireField] | None = None


class WireRank(msgspec.Struct, frozen=True, kw_only=True):
    """Rank these items. What else a client sends is not looked at."""

    id: WireId = None
    user: WireId = None
    session: WireId = None
    fields: list[WireField] | None = None
    items: list[WireItem]


class ReaderOfRankings(Reader[WireRank]):
    """A reader of rankings, of which nothing that is kept can be deep.

    So nobody measures how deep they are: of many items that takes as long as reading them.
    """

    def read(self, text: bytes | msgspec.Raw, field: str = "") -> WireRank:
        """The ranking in ``text``; raises ``InvalidInput``, see ``Reader``."""
        found, data = self.read_outside(text, field), bytes(text)
        if holds_nul(data) and (trouble := trouble_in(data, field)) is not None:
            raise InvalidInput(*trouble)
        return found


RANK: Reader[WireRank] = ReaderOfRankings(WireRank, WireRank)


async def rank(call: Call) -> Reply:
    """Rank them: what is drawn first, then the others by their probability of having been."""
    decider, services = call.core.decider, call.core.services
    model = call.params["model"]
    wire = RANK.read(await call.body(min(MAX_BODY_BYTES, services.max_body_bytes)))
    call.weigh(len(wire.items))
    intake = call.intake()
    placement = intake.catalog.placements.get(model)
    if placement is None or placement.spec.arms != "caller":
        known = ", ".join(sorted(n for n, each in intake.catalog.placements.items() if each.spec.arms == "caller"))
        message = f"no placement {model[:64]!r} with `arms: caller`; there are: {known[:400] or 'none'}"
        raise ApiError(404, "unknown_model", message)
    ranking_id = intake.id(wire.id, "id")
    if ranking_id is None:
        raise InvalidInput("id", "is missing; send the ranking's id, by which feedback names it", "missing_field")
    user_id, anonymous_id = visitor_of(wire.user, wire.session, wire.id, "", intake, proven=False)
    candidates, said = brought(wire, services), said_in(wire.fields, "fields")
    request = decider.request(
        intake,
        ranking_id,
        (PlacementRequest(model, None, candidates),),
        user_id=user_id,
        anonymous_id=anonymous_id,
        context={**said.values, **said.context},
        activate=False,
        repeatable=True,
        by_arm=True,
    )
    answer = await decider.decide(request, intake, decider.deadline(call.began))
    explain = _is_explained(call.scope["query_string"])
    body: dict[str, Any] = {
        "took": int((time.perf_counter() - call.began) * 1000),
        "items": _shown(ranked(answer, candidates), candidates.features, explain),
    }
    if intake.notices:
        body["warnings"] = [notice.shown() for notice in intake.notices]
    return reply(body, headers=_NO_STORE)


def _is_explained(query: bytes) -> bool:
    """Whether the address asks for it.

    >>> _is_explained(b"explain=True&x=1"), _is_explained(b"x=explain=true")
    (True, False)
    """
    return b"explain" in query and b"explain=true" in query.lower().split(b"&")


def _shown(
    ranking: list[tuple[str, float | None]],
    features: Mapping[str, Mapping[str, FeatureValue]] | None,
    explain: bool,
) -> list[dict[str, Any]]:
    """The items with scores that fall from 1 on, so that whoever sorts by them has our order."""
    shown = []
    for index, (item, probability) in enumerate(ranking):
        one: dict[str, Any] = {"item": item, "score": (len(ranking) - index) / len(ranking)}
        if explain:
            known = {} if features is None else features.get(item, {})
            told = [{"name": name, "value": value} for name, value in known.items()]
            one["features"] = [{"name": "probability", "value": probability}, *told]
        shown.append(one)
    return shown


def brought(wire: WireRank, services: Services) -> Candidates:
    """The items as candidates, in the caller's order; what is kept of an item is known, too.

    Raises
    ------
    InvalidInput
        Names the item, and what is wrong with it.
    """
    if not wire.items:
        raise InvalidInput("items", "are none; bring at least one", "missing_field")
    if len(wire.items) > MAX_CANDIDATES:
        raise InvalidInput("items", f"are {len(wire.items)}; at most {MAX_CANDIDATES:,} are ranked", "too_many")
    bodies: dict[str, None] = {}
    features: dict[str, dict[str, FeatureValue]] = {}
    for index, item in enumerate(wire.items):
        item_id = check_id(item.id, f"items[{index}].id")
        if item_id is None:
            raise InvalidInput(f"items[{index}].id", "is missing", "missing_field")
        if item_id in bodies:
            message = f"{item_id!r} stands there twice; name each item once"
            raise InvalidInput(f"items[{index}].id", message, "duplicate_id")
        bodies[item_id] = None
        kept = services.catalog.item(item_id)
        known = features_of(item.fields, f"items[{index}].fields")
        if kept is not None:
            known = {**kept.content.features, **known}
        if known:
            has_lists = tuple in map(type, known.values())
            features[item_id] = flat(known) if has_lists else known  # type: ignore[assignment]  # as was just seen
    return passing_candidates(bodies, features or None, {})
