"""What each role may do, and that every route of every dialect asks every kind of caller for it.

The table is made from the routes: one that is added stands in it by itself, and fails without a permission.
"""

from __future__ import annotations

import re
from typing import get_args

import httpx
import pytest
from msgspec import structs

from api.access.permissions import GRANTED, WRITE, Permission, Role
from api.app import ANSWERED
from api.http.dialect import Route
from personalization.catalog.catalog import Catalog, PublishedCatalog, Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.sections.sources import Key, KeyBefore
from personalization.catalog.source_keys import digest_of, shown_digest
from personalization.visitor.visitor_state import VisitorState
from tests.unit.api.site import NOW, Site, open_site, shop

OPEN = {"/healthz", "/openapi.json", "/docs", "/v1/consent/keys", "/sdk/nextbest.js", "/sdk/{file}"}
NOT_HERE = {"/flags/definitions": 403, "/api/feature_flag/local_evaluation": 403, "/decide": 404}
"""Of others' protocols what is refused to everybody, with a remedy."""
ROUTES = [
    pytest.param(route, method, id=f"{method} {route.path}")
    for dialect in ANSWERED
    for route in dialect.routes
    for method in route.methods
]
NOBODY = {"no key": "", "unknown": "sk_unknown", "expired": "expired", "revoked": "revoked", "replaced": "replaced"}


def keyed() -> Catalog:
    """The shop with a key of each role, called as the role is, and some that have ended."""
    keys: dict[str, Key] = {role: Key(sha256=digest_of(role), role=role, expires=NOW + 1) for role in GRANTED}
    keys["expired"] = Key(sha256=digest_of("expired"), role="admin", expires=NOW)
    keys["revoked"] = Key(sha256=digest_of("revoked"), role="admin")
    before = KeyBefore(sha256=digest_of("replaced"), expires=NOW)
    keys["new"] = Key(sha256=digest_of("new"), role="admin", before=before)
    written = structs.replace(shop(), sources={"web": Source(keys=keys, consent_default="granted")})
    return PublishedCatalog(**structs.asdict(written), ended={digest_of("revoked"): NOW})


async def asked(site: Site, route: Route, method: str, key: str) -> httpx.Response:
    path = re.sub(r"\{[^}]*\}", "x", route.path)
    return await site.client.request(method, path, headers={"Authorization": f"Bearer {key}"} if key else {})


def test_a_key_that_may_stand_in_a_page_collects_and_decides_and_no_more() -> None:
    assert GRANTED["write"] == WRITE == {Permission.COLLECT, Permission.DECIDE}


def test_a_sites_server_neither_publishes_nor_audits_and_an_admin_does_everything() -> None:
    assert GRANTED["server"] > WRITE
    assert not GRANTED["server"] & {Permission.PUBLISH, Permission.AUDIT}
    assert GRANTED["admin"] == set(Permission)
    assert set(GRANTED) == set(get_args(Role))


def test_people_below_an_admin_take_nobodys_data_out() -> None:
    for role in ("viewer", "editor", "publisher"):
        assert not GRANTED[role] & {Permission.VISITORS, Permission.EXPORT, Permission.ERASE, Permission.AUDIT}
    assert GRANTED["viewer"] < GRANTED["editor"] < GRANTED["publisher"] < GRANTED["admin"]


@pytest.mark.parametrize(("route", "method"), ROUTES)
async def test_every_route_answers_those_alone_who_may(route: Route, method: str) -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        if route.path in OPEN:
            assert route.permission is None
            told = {(await asked(site, route, method, key)).status_code for key in ("", *GRANTED)}
            assert told == {404 if route.path == "/sdk/{file}" else 200}  # there is no file called so
            return
        if (refusal := NOT_HERE.get(route.path.rstrip("/"))) is not None:
            assert route.permission is None
            assert {(await asked(site, route, method, key)).status_code for key in ("", *GRANTED)} == {refusal}
            return
        assert route.permission is not None, "a route that is open to everybody is named in OPEN"
        for who, key in NOBODY.items():
            assert (await asked(site, route, method, key)).status_code == 401, who
        for role, allowed in GRANTED.items():
            status = (await asked(site, route, method, role)).status_code
            assert status != 401, role
            assert (status == 403) == (route.permission not in allowed), (role, status)


async def test_a_key_may_have_less_than_its_role() -> None:
    key = Key(sha256=digest_of("narrow"), role="server", permissions=(Permission.ITEMS,))
    narrow = structs.replace(shop(), sources={"web": Source(keys={"narrow": key})})
    async with open_site(compiled=compile_catalog(narrow, 12)) as site:
        headers = {"X-API-Key": "narrow"}
        put = await site.client.put("/v1/content/x", json={"body": {"title": "X"}}, headers=headers)
        read = await site.client.get("/v1/content/x", headers=headers)
    assert (put.status_code, read.status_code) == (200, 403)
    assert "no permission 'read'" in read.json()["message"]
    assert list(site.items.kept) == ["x"]


async def test_a_key_that_has_ended_is_told_why_and_what_to_do() -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        told = {
            key: (await site.client.get("/v1/placements/home.hero", headers={"X-API-Key": key})).json()
            for key in ("expired", "revoked")
        }
    assert [told[key]["code"] for key in told] == ["key_expired", "key_revoked"]
    assert told["expired"]["message"].startswith("the key expired expired on 2023-11-14 22:13 UTC: ")
    assert "`nextbest keys create`" in told["expired"]["message"]


async def test_a_revoked_key_that_the_catalog_holds_no_more_is_told_that_it_was_revoked() -> None:
    ended = {digest_of("gone"): NOW, digest_of("later"): NOW + 1}
    catalog = PublishedCatalog(**structs.asdict(keyed()) | {"ended": ended})
    async with open_site(compiled=compile_catalog(catalog, 12)) as site:
        answers = {
            key: (await site.client.get("/v1/placements/home.hero", headers={"X-API-Key": key})).json()
            for key in ("gone", "later", "x" * 300)
        }
    assert [each["code"] for each in answers.values()] == ["key_revoked", "unauthorized", "unauthorized"]
    assert answers["gone"]["message"].startswith(
        f"the key {shown_digest(digest_of('gone'))} was revoked on 2023-11-14"
    )


async def test_what_was_revoked_stays_so_whatever_the_catalog_says_next() -> None:
    async with open_site(compiled=compile_catalog(keyed(), 12)) as site:
        later = PublishedCatalog(**{**structs.asdict(keyed()), "holdout": 0.1})
        site.compiled = compile_catalog(later, 13)
        assert later.sources["web"].keys["revoked"].expires is None, "the catalog gives it without an end"
        answer = await site.client.get("/v1/placements/home.hero", headers={"X-API-Key": "revoked"})
    assert answer.status_code == 401


async def test_sources_are_no_tenants_a_key_of_each_reads_the_visitors_of_all() -> None:
    sources = {
        name: Source(write_keys=(f"pk_{name}",), server_keys=(f"sk_{name}",), consent_default="granted")
        for name in ("shop", "app")
    }
    async with open_site(compiled=compile_catalog(structs.replace(shop(), sources=sources), 12)) as site:
        site.visitors.states["a:a1"] = VisitorState(event_count=3)
        seen = [
            (await site.client.get("/v1/visitors/a1", headers={"X-API-Key": f"sk_{name}"})).json()["eventCount"]
            for name in sources
        ]
    assert seen == [3, 3]
