"""Keys: in the clear or hashed, each with its role, and quick to tell."""

from __future__ import annotations

import hashlib
import timeit

import pytest

from api.access.key_ring import MAX_KEY_CHARS, Access, KeyRing
from personalization.catalog.catalog import Source
from personalization.visitor.purposes import GPC

HASHED = "sha256:" + hashlib.sha256(b"sk_secret").hexdigest()
RING = KeyRing(
    {
        "shop": Source(write_keys=("pk_dev",), server_keys=(HASHED,), consent_default="granted"),
        "app": Source(write_keys=("pk_app",)),
    }
)


@pytest.mark.parametrize(
    ("key", "access"),
    [
        ("pk_dev", Access("shop", "write", "granted", gpc=GPC)),
        ("sk_secret", Access("shop", "server", "granted", gpc=GPC)),
        ("pk_app", Access("app", "write", "denied", gpc=GPC)),
        (HASHED, None),  # who has read the file does not have the key
        (HASHED.removeprefix("sha256:"), None),
        ("pk_de", None),
        ("PK_DEV", None),
        ("", None),
        ("x" * (MAX_KEY_CHARS + 1), None),
        ("\ud800", None),
    ],
)
def test_what_a_key_gives(key: str, access: Access | None) -> None:
    assert RING.identify(key) == access
    assert RING.identify(key) == access  # and again, from memory


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
