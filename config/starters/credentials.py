"""What a new installation is given to hold: two keys and a secret."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from config.setting_values import Secret
from personalization.catalog.source_keys import HASHED, digest_of

KEY_BYTES = 24
SECRET_BYTES = 48


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys and secret of one installation; they do not show themselves in a ``repr``.

    Attributes
    ----------
    write_key
        ``pk_…``: sends events and asks for decisions; may stand in a page.
    server_key
        ``sk_…``: may also read; for servers alone.
    secret
        ``NEXTBEST_SECRET``.
    """

    write_key: Secret
    server_key: Secret
    secret: Secret

    @classmethod
    def new(cls) -> Credentials:
        """New ones, of the system's randomness."""
        return cls(new_write_key(), new_server_key(), Secret(secrets.token_urlsafe(SECRET_BYTES)))


def new_write_key() -> Secret:
    """A key that may stand in a page."""
    return Secret(f"pk_{secrets.token_urlsafe(KEY_BYTES)}")


def new_server_key() -> Secret:
    """A key for servers alone."""
    return Secret(f"sk_{secrets.token_urlsafe(KEY_BYTES)}")


def hashed(key: str) -> str:
    """A key as a catalog holds it.

    >>> hashed("pk_dev")[:23]
    'sha256:dc843d587f15c9b3'
    """
    return f"{HASHED}{digest_of(key)}"
