"""Rule *Audit*: acts and reads are recorded before they are done, as their route asks, and nothing else is."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from msgspec import structs
from redis.exceptions import ConnectionError as RedisConnectionError

from api.access.permissions import Permission
from api.app import DIALECTS
from api.http.dialect import NO_CONTENT, Call, Dialect, Reply, Route
from api.http.routing import Routes
from api.services.auditing import NOT_RECORDED, TRAIL_OF
from api.services.core import Core
from api.services.refused_acts import EVERY_S, RefusedActs
from personalization.audit.chain import decode
from personalization.audit.record import Act, visitor_mark
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.rate import Rate, RateLimits
from personalization.errors import Refused, Unavailable
from tests.unit.api.access.test_permissions import keyed
from tests.unit.api.site import SECRETS, SERVER, WRITE, FakeAudit, Site, open_site

ROUTES = [route for dialect in DIALECTS for route in dialect.routes if route.permission is not None]
RECORDED = [
    pytest.param(route, method, id=f"{method} {route.path}")
    for route in ROUTES
    if route.permission in TRAIL_OF
    for method in route.methods
]
BODIES: dict[str, Any] = {
    "unlink": {"anonymousId": "a1", "userId": "u1"},
    "preview": {"visitor": {"anonymousId": "a1"}},
    "put_items": {"items": [{"id": "x", "body": {"title": "X"}}]},
    "make_preview_link": {"placements": ["home.hero"]},
    "put_item": {"body": {"title": "X"}},
    "patch_item": {"body": {"title": "X"}},
}
ADMIN = {"X-API-Key": "admin"}
MARK_KEY = SECRETS.key("audit-visitors")


async def asked(site: Site, route: Route, method: str, headers: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{[^}]*\}", "x", route.path)
    return await site.client.request(method, path, headers=headers, json=BODIES.get(route.name))


def test_of_every_permission_is_said_whether_it_is_recorded() -> None:
    assert set(TRAIL_OF) | NOT_RECORDED == set(Permission)
    assert not set(TRAIL_OF) & NOT_RECORDED
    changes = {Permission.ITEMS, Permission.UNLINK, Permission.EXPORT, Permission.ERASE, Permission.PUBLISH}
    assert {each for each, trail in TRAIL_OF.items() if trail == "acts"} == changes


@pytest.mark.parametrize(("route", "method"), RECORDED)
async def test_every_route_of_an_act_or_a_read_records_it_under_its_name(route: Route, method: str) -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        status = (await asked(site, route, method, ADMIN)).status_code
    assert status < 500
    first, *more = site.audit.acts
    assert (first.trail, first.act, first.actor) == (route.trail, route.name, "web/admin")
    assert (first.outcome, first.network) == ("allowed", "127.0.0.0/24")
    assert [(each.outcome, each.status, each.of) for each in more] == [("failed", status, 1)] * (status >= 400)


@pytest.mark.parametrize(("route", "method"), RECORDED)
async def test_what_cannot_be_recorded_is_not_done(route: Route, method: str) -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        site.audit.error = Unavailable("the audit cannot be written")
        site.audit.error.__cause__ = RedisConnectionError("refused by 10.0.0.7")
        answer = await asked(site, route, method, ADMIN)
    if method != "HEAD":
        assert answer.json()["message"] == (
            "this is recorded before it is done, and the audit cannot be written: Redis does not answer; send the "
            "same again shortly"
        )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (site.items.kept, site.items.revision, site.log.records, site.visitors.asked) == ({}, 0, [], [])


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.permission in NOT_RECORDED], ids=lambda r: r.path
)
async def test_deciding_and_collecting_never_wait_for_the_audit(route: Route) -> None:
    async with open_site() as site:
        site.audit.error = Unavailable("away")
        assert (await asked(site, route, route.methods[0], SERVER)).status_code != 503
        assert (await site.decide()).status_code == 200
    assert site.audit.acts == []


async def test_who_may_not_is_recorded_unless_the_key_is_everybodys() -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        for key in ("viewer", "write", "sk_unknown", "expired"):
            await site.client.delete("/v1/content/x", headers={"X-API-Key": key})
    assert [(act.actor, act.act, act.outcome, act.status) for act in site.audit.acts] == [
        ("web/viewer", "delete_item", "refused", 403)
    ]


async def test_a_key_that_may_nothing_pushes_nothing_out_of_the_audit() -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        await site.client.delete("/v1/content/x", headers=ADMIN)
        for n in range(300):
            refused = await site.client.delete(f"/v1/visitors/x{n}", headers={"X-API-Key": "viewer"})
            assert refused.status_code == 403
    assert [(act.act, act.outcome, act.times) for act in site.audit.acts if act.outcome != "failed"] == [
        ("delete_item", "allowed", 1),
        ("erase_visitor", "refused", 1),
    ]


@pytest.mark.parametrize(("key", "path"), [("admin", "/v1/content/x"), ("viewer", "/v1/visitors/x")])
async def test_what_a_limit_refuses_is_recorded_nowhere(key: str, path: str) -> None:
    source = structs.replace(
        keyed().sources["web"], limits=RateLimits(per_server_key=Rate(limit=2, within_ms=3_600_000))
    )
    catalog = structs.replace(keyed(), sources={"web": source})
    async with open_site(compiled=compile_catalog(catalog, 12)) as site:
        statuses = [
            (await site.client.request(method, path, headers={"X-API-Key": key})).status_code
            for method in ("GET", "DELETE", "GET", "DELETE")
        ]
        recorded = [act.outcome for act in site.audit.acts if act.outcome != "failed"]
    assert statuses[2:] == [429, 429]
    assert len(recorded) == 2


async def test_refusals_are_counted_until_the_next_record_and_none_is_lost() -> None:
    audit = FakeAudit()
    refused = RefusedActs(audit.append)
    act = Act(trail="acts", actor="web/viewer", act="erase_visitor", outcome="refused", status=403)
    other = structs.replace(act, act="put_item")
    for now_s in (100.0, 101.0, 101.0):
        await refused.take(act, now_s)
    await refused.take(other, 102.0)
    await refused.settle(100.0 + EVERY_S - 1)
    assert audit.acts == [act, other], "of each act the first, before it is answered"
    audit.error = Unavailable("away")
    await refused.settle(100.0 + EVERY_S)
    with pytest.raises(Unavailable):
        await refused.take(act, 100.0 + EVERY_S)
    audit.error = None
    await refused.settle(200.0)
    await refused.settle(300.0)
    assert audit.acts[2:] == [structs.replace(act, times=3)]
    assert [decode(entry.body).times for entry in await audit.read("acts", 1, 9)] == [1, 1, 3], "as it is kept"


async def test_asking_again_and_again_what_became_of_an_erasure_pushes_no_act_out(site: Site) -> None:
    await site.client.delete("/v1/visitors/x", headers=SERVER)
    for _ in range(3):
        await site.client.get("/v1/erasures/e1", headers=SERVER)
    assert [act.act for act in site.audit.acts if act.trail == "acts"] == ["erase_visitor"]
    assert {route.name for route in ROUTES if route.is_look} == {"erasure"}
    assert {route.name for route in ROUTES if route.trail == "acts"} >= {"export_visitor", "erase_visitor"}


async def test_no_visitors_id_stands_in_the_audit(site: Site) -> None:
    who = "ann@example.com"
    await site.client.get(f"/v1/visitors/{who}", headers=SERVER)
    await site.client.post("/v1/unlink", json={"anonymousId": "a-ann", "userId": who}, headers=SERVER)
    read, failed, unlinked = site.audit.acts
    mark = visitor_mark(MARK_KEY, who)
    assert (read.objects, failed.objects) == ((mark,), (mark,))
    assert unlinked.objects == (visitor_mark(MARK_KEY, "a-ann"), mark)
    assert "ann" not in repr(site.audit.acts)


async def test_items_and_placements_are_named_openly(site: Site) -> None:
    await site.client.put("/v1/content/derby", json={"body": {"title": "X"}}, headers=SERVER)
    await site.client.post(
        "/v1/content", json={"items": [{"id": "cup", "body": {}}, {"id": "bad id\n"}]}, headers=SERVER
    )
    await site.client.get("/v1/placements/home.hero", headers=SERVER)
    objects = [act.objects for act in site.audit.acts]
    assert objects == [("content_id:derby",), ("content_id:cup",), ("name:home.hero",)]


async def test_a_key_without_a_name_is_told_by_its_hash_and_never_shown(site: Site) -> None:
    await site.client.get("/v1/placements/home.hero", headers=SERVER)
    assert re.fullmatch(r"web/sha256:[0-9a-f]{12}…", site.audit.acts[0].actor)
    assert "sk_dev" not in repr(site.audit.acts)


async def test_an_audit_that_was_tampered_with_stops_acts_and_asks_for_a_person(site: Site) -> None:
    site.audit.error = Refused("nothing fits behind it")
    answer = await site.client.delete("/v1/content/x", headers=SERVER)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "a person has to act" in answer.json()["message"]


async def test_an_admin_reads_what_was_done_and_that_is_recorded_too() -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        for item in ("a", "b", "c"):
            await site.client.put(f"/v1/content/{item}", json={"body": {}}, headers=ADMIN)
        page = (await site.client.get("/v1/audit?from=2&limit=1", headers=ADMIN)).json()
        last = (await site.client.get("/v1/audit?trail=reads", headers=ADMIN)).json()
        bad = [
            (await site.client.get(f"/v1/audit?{query}", headers=ADMIN)).json()["field"]
            for query in ("trail=writes", "from=x", "limit=1001", "limit=-1", "limit=0", "form=2")
        ]
    assert [(each["n"], each["act"], each["objects"]) for each in page["records"]] == [
        (2, "put_item", ["content_id:b"])
    ]
    assert (page["next"], page["last"][:7]) == (3, "acts:3:")
    assert [each["act"] for each in last["records"]] == ["audit", "audit"], "this very read is among them"
    assert bad == ["trail", "from", "limit", "limit", "limit", "form"]


async def test_a_page_is_told_of_no_audit(site: Site) -> None:
    assert (await site.client.get("/v1/audit", headers=WRITE)).status_code == 403
    assert (await site.client.get("/v1/audit", headers=SERVER)).status_code == 403


async def test_a_handler_that_names_nothing_is_a_mistake_of_ours_and_no_silent_act(site: Site) -> None:
    async def forgets(_: Call) -> Reply:
        return NO_CONTENT

    route = Route(("POST",), "/v1/forgets", "forgets", Permission.ERASE, forgets, names_in_body=True)
    routes = Routes((Dialect("own", "/", (route,)),), Core(site.services()))
    transport = httpx.ASGITransport(app=routes)
    async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
        answer = await client.post("/v1/forgets", headers=SERVER)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
