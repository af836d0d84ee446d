"""What each role may do, and that every route of every dialect asks for it."""

from __future__ import annotations

import pytest

from api.access.permissions import GRANTED, WRITE, Permission
from api.app import DIALECTS
from api.dialect import Route
from tests.unit.api.site import SERVER, open_site
from tests.unit.api.site import WRITE as WRITE_KEY

ROUTES = [pytest.param(route, id=route.path) for dialect in DIALECTS for route in dialect.routes]
OPEN = {"/healthz", "/readyz", "/metrics", "/v1/consent/keys"}


def test_a_key_that_may_stand_in_a_page_collects_and_decides_and_no_more() -> None:
    assert GRANTED["write"] == WRITE == {Permission.COLLECT, Permission.DECIDE}
    assert GRANTED["server"] > WRITE
    assert not GRANTED["server"] & {Permission.PUBLISH, Permission.AUDIT}


@pytest.mark.parametrize("route", ROUTES)
async def test_every_route_asks_for_its_permission(route: Route) -> None:
    path = route.path.replace("{visitor_id:path}", "nobody").replace("{name:path}", "home.hero")
    path = path.replace("{decision_id}", "x").replace("{key:path}", "home.hero")
    async with open_site() as site:
        statuses = [
            (await site.client.request(route.methods[0], path, headers=headers)).status_code
            for headers in ({}, WRITE_KEY, SERVER)
        ]
    if route.path in OPEN:
        assert route.permission is None
        assert statuses == [200, 200, 200]
        return
    assert route.permission is not None
    refused = [status in (401, 403) for status in statuses]
    assert refused == [True, route.permission not in GRANTED["write"], False]
    assert statuses[0] == 401
