"""Keys made, rotated, revoked: what a catalog says afterwards, and what ends for good."""

from __future__ import annotations

from typing import Any

import pytest

from config.catalog_shape import catalog_shape, group_of
from config.convert import Converter
from config.yaml_tree import Fields, parse_yaml
from operations.key_changes import KeyChange, added, find_key, key_lines, revoked, rotated
from personalization.catalog.catalog import Catalog, Source
from personalization.catalog.permissions import Permission
from personalization.catalog.sections.sources import Key, KeyBefore
from personalization.catalog.source_keys import digest_of, keys_of, outdated_keys
from personalization.errors import InvalidInput

NOW, DAY = 1_800_000_000_000, 86_400_000
OLD, NEW = digest_of("old"), digest_of("new")


def catalog(**keys: Key) -> Catalog:
    return Catalog(
        placements={},
        content={},
        sources={
            "shop": Source(write_keys=("pk",), server_keys=("sk_plain", f"sha256:{digest_of('sk')}"), keys=keys),
            "app": Source(write_keys=("pk_app",)),
        },
    )


CI = Key(sha256=OLD, role="viewer")


def turned(of: Catalog, named: str = "ci", overlap_ms: int = 7 * DAY, **more: Any) -> KeyChange:
    return rotated(of, find_key(of, named), NEW, NOW, overlap_ms, **more)


def digests(of: Catalog) -> dict[str, int]:
    return {held.digest: held.expires_ms for name, source in of.sources.items() for held in keys_of(name, source)}


def test_a_rotated_key_and_the_one_before_both_live_until_the_overlap_ends() -> None:
    change = turned(catalog(ci=CI))
    before = KeyBefore(sha256=OLD, expires=NOW + 7 * DAY)
    assert change.catalog.sources["shop"].keys == {"ci": Key(sha256=NEW, role="viewer", before=before)}
    assert change.ended == {OLD: NOW + 7 * DAY}


def test_without_an_overlap_the_one_before_ends_at_once() -> None:
    change = turned(catalog(ci=CI), overlap_ms=0)
    assert change.catalog.sources["shop"].keys == {"ci": Key(sha256=NEW, role="viewer")}
    assert change.ended == {OLD: NOW}


def test_no_overlap_gives_a_key_longer_than_it_had() -> None:
    ending = Key(sha256=OLD, role="viewer", expires=NOW + DAY)
    change = turned(catalog(ci=ending), expires_ms=NOW + 90 * DAY)
    assert digests(change.catalog)[OLD] == NOW + DAY
    assert digests(change.catalog)[NEW] == NOW + 90 * DAY


def test_a_key_with_an_end_is_rotated_into_one_with_another() -> None:
    ending = Key(sha256=OLD, role="viewer", expires=NOW + DAY)
    with pytest.raises(InvalidInput, match=r"^expires: the key ends on 2027-01-16T08:00:00Z: say when"):
        turned(catalog(ci=ending))
    assert turned(catalog(ci=ending), expires_ms=0).catalog.sources["shop"].keys["ci"].expires is None


def test_a_second_rotation_waits_for_the_first_one_to_end() -> None:
    before = KeyBefore(sha256=digest_of("elder"), expires=NOW + 1)
    twice = catalog(ci=Key(sha256=OLD, role="viewer", before=before))
    with pytest.raises(InvalidInput, match=r"`nextbest keys revoke ci --before`"):
        turned(twice)
    alone = revoked(twice, find_key(twice, "ci"), NOW, before=True)
    assert alone.catalog == catalog(ci=CI)
    assert alone.ended == {digest_of("elder"): NOW}
    assert NEW in digests(turned(alone.catalog).catalog)


@pytest.mark.parametrize("key", ["sk", "sk_plain"])
def test_a_key_of_a_list_is_given_a_name_when_it_is_rotated(key: str) -> None:
    of, named = catalog(), f"sha256:{digest_of(key)[:12]}…"
    with pytest.raises(InvalidInput, match=r"^name: "):
        turned(of, named)
    change = turned(of, named, name="server")
    source = change.catalog.sources["shop"]
    assert len(source.server_keys) == 1
    assert (source.keys["server"].role, source.keys["server"].sha256) == ("server", NEW)
    assert set(digests(change.catalog)) == {*digests(of), NEW}


def test_a_revoked_key_is_gone_and_so_is_the_one_it_replaced() -> None:
    turning = turned(catalog(ci=CI)).catalog
    change = revoked(turning, find_key(turning, "ci"), NOW + 1)
    assert change.catalog == catalog()
    assert change.ended == {OLD: NOW + 1, NEW: NOW + 1}


def test_revoking_a_key_of_a_list_leaves_the_others() -> None:
    of = catalog()
    change = revoked(of, find_key(of, f"sha256:{digest_of('pk')[:8]}"), NOW)
    assert set(digests(of)) - set(digests(change.catalog)) == {digest_of("pk")} == set(change.ended)


@pytest.mark.parametrize(
    ("named", "why"),
    [("nobody", "there is none"), ("sha256:12", "8 or more digits"), ("sha256:" + 64 * "0", "there is none")],
)
def test_what_names_no_key_is_said(named: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        find_key(catalog(ci=CI), named)


def test_a_name_of_two_sources_has_to_say_which() -> None:
    both = catalog(ci=CI)
    both.sources["app"] = Source(keys={"ci": Key(sha256=NEW, role="viewer")})
    with pytest.raises(InvalidInput, match=r"sources\.shop\.keys\.ci, sources\.app\.keys\.ci; add --source"):
        find_key(both, "ci")
    assert find_key(both, "ci", "app").source == "app"


def test_a_new_key_never_takes_anothers_name() -> None:
    assert added(catalog(), "app", "ci", CI).catalog.sources["app"].keys == {"ci": CI}
    with pytest.raises(InvalidInput, match="already"):
        added(catalog(ci=CI), "shop", "ci", Key(sha256=NEW, role="viewer"))


def test_the_lines_that_are_printed_are_the_key_as_the_loader_reads_it() -> None:
    key = Key(
        sha256=NEW,
        role="write",
        permissions=(Permission.COLLECT,),
        expires=NOW + 1_000,
        origins=("https://shop.example",),
        before=KeyBefore(sha256=OLD, expires=1_767_225_600_000),
    )
    tree = parse_yaml("x.yaml", "\n".join(key_lines("ci", key)).encode())
    assert isinstance(tree, Fields)
    read = Converter().convert(tree.fields[0][1], group_of(catalog_shape(), Key), "ci")
    assert read == key


def test_a_catalog_that_gives_an_ended_key_on_is_told_of_it() -> None:
    change = turned(catalog(ci=CI))
    assert outdated_keys(change.catalog.sources, change.ended) == [], "what was printed is what is in force"
    told = outdated_keys(catalog(ci=CI).sources, change.ended)
    assert [line.split(":")[0] for line in told] == ["sources.shop.keys.ci"]
