"""What ``nextbest up`` shows is of the catalog in force, and works."""

from __future__ import annotations

import json
import shlex

from cli.first_steps import curl, first_placement, first_request, keys_text
from personalization.catalog.catalog import Catalog, Content, Placement, Source

HASH = "sha256:" + "0" * 64
URL = "http://127.0.0.1:8700"


def catalog(*placements: str, **sources: Source) -> Catalog:
    return Catalog(
        placements={name: Placement(content=("one",), default="one") for name in placements},
        content={"one": Content(type="json", body={"default": {"title": "One"}})},
        sources=sources,
    )


def words(request: str) -> list[str]:
    """The request as a shell splits it."""
    return shlex.split(request.replace("\\\n", " "), comments=True)


def test_keys_in_plain_text_are_shown_and_hashes_are_not() -> None:
    shown = keys_text(catalog("home", shop=Source(write_keys=(HASH, "pk_mine"), server_keys=("sk_mine",))))
    assert "pk_mine (collect and decide)" in shown
    assert "sk_mine (read" in shown
    assert "sha256" not in shown


def test_with_hashes_alone_it_says_who_has_the_keys_and_shows_none() -> None:
    only_hashes = catalog("home", shop=Source(write_keys=(HASH,), server_keys=(HASH,)))
    assert keys_text(only_hashes) == (
        "the catalog holds only hashes of keys (sources: shop); who made them has the keys"
    )
    request = first_request(URL, only_hashes)
    assert "KEY=…" in request
    assert '"Authorization: Bearer $KEY"' in request
    assert "sha256" not in request


def test_a_catalog_without_sources_says_so() -> None:
    assert "no sources" in keys_text(catalog("home"))


def test_the_request_asks_for_a_placement_that_is_there() -> None:
    said = words(first_request(URL, catalog('cart\'s "side"', shop=Source(write_keys=("it's",)))))
    assert said[:3] == ["curl", "-s", f"{URL}/v1/decide"]
    assert said[4] == "Authorization: Bearer it's"
    assert json.loads(said[6]) == {"visitor": {"anonymousId": "me"}, "placements": ['cart\'s "side"']}


def test_a_placement_open_to_everybody_comes_first() -> None:
    some = Placement(content=("one",), default="one", when="known")
    everybody = Placement(content=("one",), default="one")
    content = {"one": Content(type="json", body={"default": {"title": "One"}})}
    assert first_placement(Catalog(placements={"a": some, "b": everybody}, content=content)) == "b"
    assert first_placement(Catalog(placements={"a": some}, content=content)) == "a"
    assert first_placement(Catalog(placements={}, content=content)) is None


def test_without_a_placement_an_event_is_sent() -> None:
    said = words(first_request(URL, catalog(shop=Source(write_keys=("pk",)))))
    assert said[2] == f"{URL}/v1/events"
    assert json.loads(said[6])["type"] == "track"


def test_a_request_without_a_body_is_one_line() -> None:
    assert curl(URL, "/v1/visitors/me", "sk_dev") == (
        "  curl -s http://127.0.0.1:8700/v1/visitors/me -H 'Authorization: Bearer sk_dev'"
    )
