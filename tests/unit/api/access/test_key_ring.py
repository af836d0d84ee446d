"""Keys: in the clear or hashed, each with its role, and quick to tell."""

from __future__ import annotations

import hashlib
import timeit

import pytest

from api.access.key_ring import MAX_KEY_CHARS, KeyRing
from api.limits.buckets import Pace
from personalization.catalog.catalog import Source
from personalization.catalog.sections.sources import Key, KeyBefore
from personalization.catalog.source_keys import digest_of
from personalization.visitor.purposes import GPC

PER_ADDRESS, PER_SERVER_KEY = Pace(0.005, 10.0), Pace(0.0005, 10.0)
HASHED = "sha256:" + hashlib.sha256(b"sk_secret").hexdigest()
RING = KeyRing(
    {
        "shop": Source(write_keys=("pk_dev",), server_keys=(HASHED,), consent_default="granted"),
        "app": Source(
            write_keys=("pk_app",),
            keys={
                "tool": Key(
                    sha256=digest_of("named").upper(),
                    role="viewer",
                    before=KeyBefore(sha256=digest_of("earlier"), expires=1),
                )
            },
        ),
    }
)


@pytest.mark.parametrize(
    ("key", "gives"),
    [
        ("pk_dev", ("shop", "write", "granted")),
        ("sk_secret", ("shop", "server", "granted")),
        ("pk_app", ("app", "write", "denied")),
        ("named", ("app", "viewer", "denied")),
        ("earlier", ("app", "viewer", "denied")),
        (HASHED, None),  # who has read the file does not have the key
        (HASHED.removeprefix("sha256:"), None),
        ("pk_de", None),
        ("PK_DEV", None),
        ("", None),
        ("x" * (MAX_KEY_CHARS + 1), None),
        ("\ud800", None),
    ],
)
def test_what_a_key_gives(key: str, gives: tuple[str, str, str] | None) -> None:
    for _ in range(2):  # and again, from memory
        access = RING.identify(key)
        assert (access and (access.source, access.role, access.consent_default)) == gives
        assert access is None or access.gpc == GPC


@pytest.mark.parametrize(
    ("ended_ms", "end"),
    [
        ({}, (900, False)),
        ({"named": 500}, (500, True)),
        ({"named": 900}, (900, False)),
        ({"named": 950}, (900, False)),
    ],
)
def test_a_key_ends_when_the_catalog_or_whoever_revoked_it_says_whichever_is_first(
    ended_ms: dict[str, int], end: tuple[int, bool]
) -> None:
    key = Key(sha256=digest_of("named"), role="viewer", expires=900)
    ended = {digest_of(name): ms for name, ms in ended_ms.items()}
    access = KeyRing({"app": Source(keys={"tool": key})}, ended).identify("named")
    assert access is not None
    assert (access.expires_ms, access.is_revoked) == end


def test_a_replaced_key_never_outlives_the_one_it_was_replaced_by() -> None:
    before = KeyBefore(sha256=digest_of("earlier"), expires=1_000)
    key = Key(sha256=digest_of("named"), role="viewer", expires=900, before=before)
    access = KeyRing({"app": Source(keys={"tool": key})}).identify("earlier")
    assert access is not None
    assert access.expires_ms == 900


def test_a_write_key_of_its_own_origins_is_for_those_alone() -> None:
    own = Key(sha256=digest_of("own"), role="write", origins=("https://m.shop.example",))
    other = Key(sha256=digest_of("other"), role="write")
    source = Source(keys={"own": own, "other": other}, origins=("https://shop.example",), verify_users=True)
    ring = KeyRing({"shop": source})
    accesses = [ring.identify(key) for key in ("own", "other")]
    assert [access and set(access.origins) for access in accesses] == [
        {b"https://m.shop.example"},
        {b"https://shop.example"},
    ]
    assert [access and access.verify_users for access in accesses] == [True, True]


def test_wrong_keys_are_not_remembered() -> None:
    ring = KeyRing({"shop": Source(write_keys=("pk",))})
    for n in range(1_000):
        ring.identify(f"guess{n}")
    assert ring.identify("pk") is not None
    assert len(ring._seen) == 1


def test_a_key_costs_no_more_than_a_few_dictionary_look_ups() -> None:
    # It is on the way of every decision. In units of a dictionary's own get: holds on a busy machine too.
    known = {"pk_dev": 1}
    RING.identify("pk_dev")
    ours = min(timeit.repeat(lambda: RING.identify("pk_dev"), number=5_000, repeat=9))
    base = min(timeit.repeat(lambda: known.get("pk_dev"), number=5_000, repeat=9))
    assert ours < 10 * base


def test_pages_are_held_by_their_address_and_servers_by_their_key() -> None:
    page, server = RING.identify("pk_dev"), RING.identify("sk_secret")
    assert page is not None
    assert server is not None
    assert (page.per_address, page.per_key) == (PER_ADDRESS, None)
    assert (server.per_address, server.per_key) == (None, PER_SERVER_KEY)
