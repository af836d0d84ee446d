"""Whatever stands in a body of GrowthBook, PostHog or Metarank, it is taken or refused; nothing is our mistake."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from personalization.catalog.catalog import Placement
from personalization.catalog.compiled_catalog import compile_catalog
from tests.unit.api.dialects.test_ofrep_never_breaks import ANYTHING
from tests.unit.api.site import SERVER, WRITE, open_site, shop

SHAPES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "/api/eval/any": (
        {"attributes": {"id": "a1"}},
        ["attributes", "forcedVariations", "forcedFeatures", "url"],
    ),
    "/flags/": (
        {"distinct_id": "a1"},
        ["distinct_id", "person_properties", "$device_id", "groups", "flag_keys_to_evaluate"],
    ),
    "/capture/": (
        {"event": "x", "distinct_id": "a1"},
        ["event", "distinct_id", "properties", "$set", "$set_once", "uuid", "timestamp", "offset", "sent_at"],
    ),
    "/feedback": (
        {"event": "interaction", "id": "c", "user": "a1", "type": "click", "item": "i1"},
        ["id", "user", "session", "type", "item", "items", "ranking", "fields", "timestamp"],
    ),
    "/rank/search": (
        {"id": "r1", "user": "a1", "items": [{"id": "i1"}]},
        ["id", "user", "session", "items", "fields", "timestamp"],
    ),
}
KINDS = ["$identify", "$pageview", "$screen", "$create_alias", "$groupidentify", "$feature_flag_called"]
PROPERTIES = ["$set", "$set_once", "$group_type", "$group_key", "$group_set", "$screen_name", "$current_url"]
PROPERTIES += ["$feature_flag_reason", "$feature_flag", "$device_id", "alias", "distinct_id", "title", "consent"]
SPECIAL: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "/capture/": st.fixed_dictionaries(
        {
            "event": st.sampled_from(KINDS),
            "properties": st.dictionaries(st.sampled_from(PROPERTIES), ANYTHING, max_size=5),
        }
    ),
    "/feedback": st.fixed_dictionaries({"event": st.sampled_from(["item", "user", "ranking"])}),
}


@pytest.mark.parametrize("path", SHAPES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_body_is_taken_or_refused(path: str, data: st.DataObject) -> None:
    base, names = SHAPES[path]
    body = {**base, **data.draw(st.dictionaries(st.sampled_from(names), ANYTHING, max_size=3))}
    if path in SPECIAL and data.draw(st.booleans()):
        body |= data.draw(SPECIAL[path])
    asyncio.run(taken_or_refused(path, body, data.draw(st.sampled_from([WRITE, SERVER]))))


async def taken_or_refused(path: str, body: Any, key: dict[str, str]) -> None:
    catalog = shop()
    placements = {**catalog.placements, "search": Placement(arms="caller")}
    async with open_site(compiled=compile_catalog(structs.replace(catalog, placements=placements), 13)) as site:
        text = json.dumps(body).encode("utf-8", "surrogatepass")
        response = await site.client.post(path, content=text, headers=key)
        assert response.status_code in (200, 400, 403), response.text
        if response.status_code == 400:
            assert site.spool.records == site.log.records == []
