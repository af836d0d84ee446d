"""The page script is served compressed, kept as long as its name allows, with the settings of the page's source."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from api.sdk.routes import CORE, SECOND
from tests.unit.api.site import Site

SCRIPT = "/sdk/nextbest.js"


def settings_in(answer: httpx.Response) -> dict[str, Any]:
    first = answer.text.split("\n", 1)[0]
    found = json.loads(first.removeprefix("window.nextbestSettings=").removesuffix(";"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("key", "default"), [("pk_dev", "granted"), ("pk_strict", "denied")])
async def test_the_settings_of_the_source_stand_before_the_script(site: Site, key: str, default: str) -> None:
    answer = await site.client.get(SCRIPT, params={"key": key})
    assert settings_in(answer) == {"consent": default, "gpc": False, "days": [30, 395]}
    assert answer.content.endswith(CORE.text)


async def test_without_a_key_it_says_nothing_of_settings(site: Site) -> None:
    assert (await site.client.get(SCRIPT)).content == CORE.text


@pytest.mark.parametrize(("key", "code"), [("pk_nobodys", "unauthorized"), ("sk_dev", "exposed_server_key")])
async def test_a_key_that_no_page_has_gets_no_script(site: Site, key: str, code: str) -> None:
    answer = await site.client.get(SCRIPT, params={"key": key})
    assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize("path", [SCRIPT, f"{SCRIPT}?key=pk_dev", f"/sdk/nextbest.{CORE.hash}.js"])
@pytest.mark.parametrize("is_strong", [False, True])
async def test_who_has_it_is_told_so(site: Site, path: str, is_strong: bool) -> None:
    answer = await site.client.get(path)
    tag = answer.headers["etag"].removeprefix("W/" if is_strong else "")
    again = await site.client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == answer.headers["cache-control"]
    other = await site.client.get(path, headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


@pytest.mark.parametrize("name", [f"nextbest.{CORE.hash}.js", f"nextbest-more.{SECOND.hash}.js"])
async def test_what_its_text_names_is_kept_for_ever(site: Site, name: str) -> None:
    answer = await site.client.get(f"/sdk/{name}")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_the_name_that_stays_is_asked_for_again_within_minutes(site: Site) -> None:
    assert (await site.client.get(SCRIPT)).headers["cache-control"] == "public, max-age=300"


async def test_it_goes_compressed_to_who_takes_that(site: Site) -> None:
    async with site.client.stream("GET", SCRIPT, headers={"Accept-Encoding": "gzip, br"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == CORE.text
    plain = await site.client.get(SCRIPT, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"


async def test_pages_of_any_origin_may_demand_it_by_integrity(site: Site) -> None:
    answer = await site.client.get(SCRIPT, headers={"Origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize("name", ["nextbest.0123456789abcdef.js", "nextbest-more.js", "..%2froutes.py"])
async def test_a_file_of_another_version_is_not_there(site: Site, name: str) -> None:
    answer = await site.client.get(f"/sdk/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
