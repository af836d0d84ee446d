"""An id may hold slashes: those that come as ``%2F`` are the id's, and lead to no other route."""

from __future__ import annotations

import pytest

from personalization.audit.record import visitor_mark
from tests.unit.api.site import SECRETS, SERVER, Site

MARK_KEY = SECRETS.key("audit-visitors")


@pytest.mark.parametrize(
    ("method", "path", "act", "visitor"),
    [
        ("GET", "wq%2Fexport", "visitor", "wq/export"),
        ("GET", "wq%2fexport", "visitor", "wq/export"),
        ("GET", "wq%2Fconsent", "visitor", "wq/consent"),
        ("GET", "wq/export", "export_visitor", "wq"),
        ("GET", "wq%2Fexport/export", "export_visitor", "wq/export"),
        ("GET", "wq%2Fconsent/consent", "kept_consent", "wq/consent"),
        ("GET", "w/q/export", "export_visitor", "w/q"),
        ("GET", "w%2Fq/%65xport", "export_visitor", "w/q"),
        ("GET", "wq%252Fexport", "visitor", "wq%2Fexport"),
        ("GET", "j%C3%B6rg%2Fexport", "visitor", "jörg/export"),
        ("DELETE", "wq%2Fexport", "erase_visitor", "wq/export"),
    ],
)
async def test_a_slash_of_an_id_separates_nothing(
    site: Site, method: str, path: str, act: str, visitor: str
) -> None:
    await site.client.request(method, f"/v1/visitors/{path}", headers=SERVER)
    first = site.audit.acts[0]
    assert (first.act, first.objects) == (act, (visitor_mark(MARK_KEY, visitor),))
    if act in ("export_visitor", "erase_visitor"):
        assert site.rights.asked_for == [visitor]


async def test_items_with_slashes_are_kept_under_their_id(site: Site) -> None:
    for path in ("a/b", "c%2Fd"):
        await site.client.put(f"/v1/content/{path}", json={"body": {}}, headers=SERVER)
    assert sorted(site.items.kept) == ["a/b", "c/d"]
