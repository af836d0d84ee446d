"""Keys that everybody knows open nothing beyond this machine."""

from __future__ import annotations

import hashlib

import pytest

from config.development_keys import DEVELOPMENT_KEYS, development_keys, keys_problem
from config.loader import check_catalog, shipped_catalog
from config.settings import Settings
from personalization.catalog.catalog import Catalog, Source

DIGEST = f"sha256:{hashlib.sha256(b'sk_dev').hexdigest()}"


def catalog(**sources: Source) -> Catalog:
    return Catalog(placements={}, content={}, sources=sources)


EVERYWHERE = Settings(host="0.0.0.0")


def test_the_shipped_examples_have_no_other_keys() -> None:
    for folder in (shipped_catalog(), shipped_catalog().parent / "demo_catalog"):
        example = check_catalog(folder).catalog_or_raise()
        keys = {key for each in example.sources.values() for key in (*each.write_keys, *each.server_keys)}
        assert keys
        assert keys <= set(DEVELOPMENT_KEYS)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (Source(write_keys=("pk_dev",), server_keys=("sk_dev",)), ["pk_dev", "sk_dev"]),
        (Source(server_keys=("sk_mine", DIGEST)), ["sk_dev"]),
        (Source(server_keys=(DIGEST.upper().replace("SHA256", "sha256"),)), ["sk_dev"]),
        (Source(write_keys=("sk_dev",)), ["sk_dev"]),
        (Source(write_keys=("pk_dev1", "my_pk_dev")), []),
    ],
)
def test_they_are_found_however_they_are_written(source: Source, found: list[str]) -> None:
    assert development_keys(catalog(other=Source(), shop=source)) == found


def test_beyond_this_machine_they_are_refused_with_the_remedy() -> None:
    shop = catalog(shop=Source(write_keys=("pk_dev",)))
    assert keys_problem(Settings(host="127.0.0.1"), shop) == ""
    problem = keys_problem(EVERYWHERE, shop)
    assert "pk_dev" in problem
    assert "keys of your own" in problem
    assert "NEXTBEST_HOST to 127.0.0.1" in problem
    assert keys_problem(EVERYWHERE, catalog(shop=Source(write_keys=("pk_mine",)))) == ""
