"""``POST /v1/unlink``: a server says that a browser is not a user's any more."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.events.event import Link, Track, Unlinked
from tests.of_type import of_type
from tests.unit.api.site import SERVER, WRITE, Site


async def unlink(site: Site, headers: dict[str, str] = SERVER, **body: Any) -> tuple[int, Any]:
    response = await site.client.post("/v1/unlink", json=body, headers=headers)
    return response.status_code, response.json() if response.content else None


async def test_an_unlink_stands_in_the_log_of_the_browser(site: Site) -> None:
    assert await unlink(site, anonymousId="a1", userId=7, messageId="m1") == (204, None)
    assert await unlink(site, anonymousId="a1") == (204, None)
    (key, first), (_, second) = site.entries()
    assert key == "a:a1"
    assert first.event == Unlinked(message_id="unlink:m1", canonical="u:7")
    assert of_type(Unlinked, second.event).canonical == ""
    assert first.sender is not None
    assert first.sender.by == "server"


async def test_a_page_unlinks_nobody(site: Site) -> None:
    assert (await unlink(site, WRITE, anonymousId="a1"))[0] == 403
    assert site.log.records == []


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "anonymousId", "missing_field"),
        ({"anonymousId": ""}, "anonymousId", "missing_field"),
        ({"anonymousId": "undefined"}, "anonymousId", "missing_field"),
        ({"anonymousId": "a1", "userId": "null"}, "userId", "degenerate_id"),
        ({"anonymousId": "a" * 257}, "anonymousId", "too_long"),
    ],
)
async def test_an_unlink_without_ids_is_refused(site: Site, body: dict[str, Any], field: str, code: str) -> None:
    status, answer = await unlink(site, **body)
    assert (status, answer["field"], answer["code"]) == (400, field, code)
    assert site.log.records == []


async def test_whoever_logs_in_after_an_unlink_is_linked_at_once(site: Site) -> None:
    """The process has linked the pair a moment ago, and would not do so again."""
    viewed = {"type": "track", "event": "Viewed", "anonymousId": "a1", "userId": "u1"}
    await site.collect(viewed)
    await unlink(site, anonymousId="a1")
    await site.collect(viewed)
    assert [type(entry.event) for _, entry in site.entries()] == [Track, Link, Unlinked, Track, Link]
