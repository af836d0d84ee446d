"""Which pages may use a key, and read what it is answered: those of the source's origins; of a server key none."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec import structs

from api.app import DIALECTS
from personalization.catalog.catalog import Catalog, Source
from personalization.catalog.check import InvalidCatalog
from personalization.catalog.compiled_catalog import compile_catalog
from tests.unit.api.site import SERVER, WRITE, Site, open_site, shop

SHOP, OTHER = "https://shop.example", "https://evil.example"
ALLOWED = "access-control-allow-origin"


def selling(*origins: str) -> Catalog:
    web = Source(write_keys=("pk_dev",), server_keys=("sk_dev",), consent_default="granted", origins=origins)
    return structs.replace(shop(), sources={"web": web})


@pytest.fixture
async def ours() -> AsyncIterator[Site]:
    """A site whose pages stand on two origins."""
    async with open_site(compiled=compile_catalog(selling(SHOP, "http://localhost:3000"), 12)) as site:
        yield site


async def asked(site: Site, headers: dict[str, str], origin: str | None) -> httpx.Response:
    return await site.decide(headers={**headers, **({} if origin is None else {"Origin": origin})})


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000"])
async def test_a_page_of_the_source_uses_its_key_and_reads_the_answer(ours: Site, origin: str) -> None:
    answer = await asked(ours, WRITE, origin)
    assert (answer.status_code, answer.headers[ALLOWED], answer.headers["vary"]) == (200, origin, "origin")


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "https://shop.example.evil.example", "https://shop.example:8443", ""]
)
async def test_somebody_elses_page_does_nothing_with_it(ours: Site, origin: str) -> None:
    answer = await asked(ours, WRITE, origin)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin")
    assert answer.headers[ALLOWED] == "*", "its developer reads why"
    assert ours.spool.records == []


async def test_an_app_has_no_origin(ours: Site) -> None:
    answer = await asked(ours, WRITE, None)
    assert (answer.status_code, ALLOWED in answer.headers, answer.headers["vary"]) == (200, False, "origin")


@pytest.mark.parametrize("origin", [SHOP, OTHER, None])
async def test_what_a_server_key_is_answered_no_page_reads(ours: Site, origin: str | None) -> None:
    answers = [await asked(ours, SERVER, origin), await ours.client.get("/v1/placements/home.hero", headers=SERVER)]
    assert [(answer.status_code, ALLOWED in answer.headers) for answer in answers] == [(200, False)] * 2


async def test_without_origins_any_page_may(site: Site) -> None:
    answer = await asked(site, WRITE, OTHER)
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, "*")


async def test_pages_ask_in_advance_only_for_what_they_may_do(site: Site) -> None:
    routes = [route for dialect in DIALECTS for route in dialect.routes]
    for route in routes:
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        answer = await site.client.options(path, headers={"Origin": SHOP})
        of_pages = route.permission in {"collect", "decide"}
        assert (answer.status_code, ALLOWED in answer.headers) == (204, of_pages), path


@pytest.mark.parametrize(
    "origin",
    ["shop.example", "https://shop.example/", "https://Shop.example", "*", "https://*.shop.example", "null", ""],
)
def test_what_no_browser_would_send_is_a_mistake(origin: str) -> None:
    with pytest.raises(InvalidCatalog) as caught:
        compile_catalog(selling(SHOP, origin), 1)
    assert "sources.web.origins[1]: is no origin" in str(caught.value)
