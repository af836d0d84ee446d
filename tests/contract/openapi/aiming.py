"""What stands in a request that is made up: names that exist, so that it gets further than to the first refusal."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from schemathesis import Case

from api.access.proof import identity_secret, user_hash
from api.sdk.routes import CORE
from api.services.ports import Services
from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.item import Item
from personalization.catalog.sections.sources import Key
from personalization.catalog.source_keys import digest_of
from personalization.events.decision_id import mint
from personalization.events.decision_record import DecisionRecord
from personalization.visitor.choice import Choice
from personalization.visitor.visitor_state import VisitorState
from state.erasure_store import Erasure, Remaining
from state.visitor_store import Stored
from tests.unit.api.fake_records import FakeRecords
from tests.unit.api.site import ID_KEY, NOW, SECRETS, FakeRights, Site, shop
from tests.unit.api.test_segment_lists import FakeWalk

ADMIN = "admin"
DECISION = mint(ID_KEY, "u:u1", b"123456789")
IN_PATHS = {
    "decisionId": DECISION,
    "contentId": "x",
    "visitorId": "u1",
    "erasureId": "e1",
    "name": "home.hero",
    "file": f"nextbest.{CORE.hash}.js",
}
"""A thing that is there, by what paths call it."""
NAMED = {
    "/sdk/{name}": {"name": f"nextbest.{CORE.hash}.js"},
    "/v1/segments/{name}/visitors": {"name": "buyers"},
}
"""Where a path calls something else by the same word."""


def catalog() -> CompiledCatalog:
    """A shop with all that examples name, and a key that may do everything."""
    written: Catalog = shop()
    placements = {
        **written.placements,
        "home.hero": Placement(content=("shoes", "hello"), default="shoes"),
        "home.recommendations": Placement(content=("tents", "bags", "shoes"), default="tents", slots=3),
        "home.json": Placement(content=("tents",), default="tents"),
        "search.results": Placement(arms="caller", slots=3),
    }
    content = {**written.content, "tents": Content(body={"title": "Tents"})}
    key = Key(sha256=digest_of(ADMIN), role="admin")
    source = Source(keys={"admin": key}, write_keys=("pk_dev",), consent_default="granted")
    return compile_catalog(
        Catalog(placements=placements, content=content, segments=written.segments, sources={"web": source}), 12
    )


class Rights(FakeRights):
    """Has something of everybody."""

    async def erasure(self, erasure_id: str) -> Erasure | None:
        return Erasure(
            erasure_id, NOW, done_ms=NOW, n_ids=1, removed={"visitors": 1}, remains=(Remaining("a hash"),)
        )

    async def export(self, person: dict[str, Stored]) -> dict[str, Any]:
        ids = [{"kind": "user", "id": "u1"}]
        return {"ids": ids, "exportedMs": NOW, "states": [{"revision": 3}], "log": {"visitor-log": []}}


@dataclass
class Shop(Site):
    """A site whose visitors are counted."""

    def services(self) -> Services:
        services = super().services()
        services.segments = FakeWalk(self.visitors.states)
        return services


def filled() -> Site:
    """A site that knows what ``IN_PATHS`` names."""
    site = Shop(compiled=catalog())
    site.visitors.states = {"u:u1": VisitorState(revision=3, now_ms=NOW, event_count=2)}
    site.rights = Rights(person_kept={"u:u1": Stored(None, None)})
    choice = Choice(DECISION, "home.hero", 0, "shoes", 2**32, "default", catalog_version=12)
    record = DecisionRecord(
        choice=choice,
        message_id=DECISION,
        request_id="r1",
        key="u:u1",
        tier="personalised",
        reason="drawn by default from 1 eligible",
        decided_at_ms=NOW,
        arms=("shoes",),
        weights=(2**32,),
        ticket=7,
        state_revision=3,
    )
    site.records = FakeRecords([record])
    site.items.kept = {"x": Item(content=Content(body={"title": "X"}))}
    return site


def aimed(case: Case[Any]) -> None:
    """Put names of what there is where the request has made-up ones."""
    for name, value in {**IN_PATHS, **NAMED.get(case.path, {})}.items():
        if name in (case.path_parameters or {}):
            case.path_parameters[name] = value
    if "placement" in case.query:
        case.query |= {"placement": ["home.hero"], "visitor": "a1"}
        for name in ("userId", "requestId"):
            case.query.pop(name, None)
        if case.query.get("format") == "json":
            case.query["placement"] = ["home.json"]
    case.query.pop("cursor", None)  # the first page is there
    if "over" in case.query:
        case.query["over"] = "24h"
    if isinstance(case.body, dict):
        case.body = copy.deepcopy(case.body)  # it may be the description's own example
        if case.path == "/v1/me/explain":
            case.body = {"userId": "u1", "userHash": user_hash(identity_secret(SECRETS, "web"), "u1")}
        _aim(case.body)


def _aim(body: dict[str, Any]) -> None:
    if isinstance(body.get("visitor"), dict):
        body["visitor"] = {"anonymousId": "a1"}
    if "placements" in body:
        body["placements"] = ["home.hero"]
    if "placement" in body:
        body["placement"] = "search.results"
        body["slots"] = 1
        body.pop("excluded", None)
    for n, each in enumerate(_objects(body, "items")):
        each["id"] = f"p{n}"
        each.pop("features", None)
    for each in _objects(body, "rewards"):
        each["decisionId"] = DECISION
    if "decisionIds" in body:
        body["decisionIds"] = [DECISION]
    for each in (*_objects(body, "events"), *([body] if "type" in body else [])):
        each["anonymousId"] = "a1"
        for name in ("userId", "timestamp", "originalTimestamp", "sentAt"):
            each.pop(name, None)


def _objects(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list, if it is one."""
    found = body.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
