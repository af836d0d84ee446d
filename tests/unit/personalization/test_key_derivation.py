"""Keys: one per purpose, which tell nothing of each other, the same in every process and release."""

from __future__ import annotations

import hmac

from personalization.key_derivation import Secrets, accepted, signing_keys, whole_secrets


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 by its words, for 32 bytes and no salt."""
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), info + b"\x01", "sha256")


def test_a_key_is_hkdf_of_the_secret_by_purpose() -> None:
    for purpose in ("decision-ids", "draws", "origins", "etags", "consent", "models", "identity/shop"):
        assert Secrets(b"secret").key(purpose) == hkdf(b"secret", b"nextbest\x1f" + purpose.encode())


def test_every_purpose_and_every_secret_has_another_key() -> None:
    keys = {Secrets(secret).key(purpose) for secret in (b"one", b"two") for purpose in ("draws", "ids", "models")}
    assert len(keys | {b"one", b"two"}) == 8


def test_what_is_made_is_made_under_the_secret_in_force_and_what_was_made_before_holds() -> None:
    new, old = Secrets(b"new").key("models"), Secrets(b"old").key("models")
    key = Secrets(b"new", b"old").key("models")
    assert bytes(key) == new
    assert accepted(key) == (new, old)
    assert whole_secrets(key) == (b"new", b"old")
    assert signing_keys(key) == (new, old, b"new", b"old")
    assert signing_keys(b"plain") == (b"plain",)


def test_an_installation_that_noted_nothing_began_with_its_eldest_secret() -> None:
    assert Secrets(b"new").eldest == b"new"
    assert Secrets(b"new", b"old").eldest == b"old"
