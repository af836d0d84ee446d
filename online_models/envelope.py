"""What a model travels and rests in: authenticated, versioned, refused whole where anything does not fit.

On the wire: 4 bytes that name the kind, the HMAC-SHA256 of the body, the body in MessagePack.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import river

from personalization.errors import Refused
from personalization.key_derivation import signing_keys

MAC_BYTES = 32


class Body(msgspec.Struct, frozen=True):
    """Everything under the MAC; a kind adds its own fields.

    Attributes
    ----------
    format
        Of the kind: what its fields and their payload mean.
    river_version
        Of the process that wrote it, if there are River objects in the payload: River promises nothing about
        pickles between versions. Empty: there are none, and any version reads it.
    """

    format: int
    river_version: str


BodyT = TypeVar("BodyT", bound=Body)


@dataclass(frozen=True, slots=True)
class Envelope(Generic[BodyT]):
    """One kind of envelope.

    Parameters
    ----------
    magic
        4 bytes that tell it from others.
    format
        What this release writes, and reads.
    body
        Its fields.
    what
        Its name in errors, with an article.
    remedy
        What to do about one that another release wrote.
    """

    magic: bytes
    format: int
    body: type[BodyT]
    what: str
    remedy: str

    def seal(self, body: BodyT, secret: bytes) -> bytes:
        """The bytes of ``body``, signed."""
        packed = msgspec.msgpack.encode(body)
        return self.magic + _mac(secret, packed) + packed

    def open(self, data: bytes, secret: bytes) -> BodyT:
        """The inverse of ``seal``.

        Raises
        ------
        Refused
            For damage, a foreign secret, another kind, format or River version. Nothing is decoded before the MAC
            has been checked.
        """
        start = len(self.magic) + MAC_BYTES
        if len(data) < start or not data.startswith(self.magic):
            raise Refused(f"not {self.what}: keep the last good one")
        packed = data[start:]
        if not is_signed(data[len(self.magic) : start], secret, packed):
            raise Refused("the checkpoint is damaged or signed with another secret: keep the last good one")
        try:
            written = msgspec.msgpack.decode(packed, type=Body)
            self._check(written)
            return msgspec.msgpack.decode(packed, type=self.body)
        except msgspec.DecodeError as error:
            raise Refused(f"the checkpoint is of another release: {self.remedy} ({error})") from error

    def is_signed_before(self, data: bytes, secret: bytes) -> bool:
        """Whether ``data``, which opens, was signed under a secret before ``secret``, and should be sealed anew."""
        start = len(self.magic) + MAC_BYTES
        return not hmac.compare_digest(data[len(self.magic) : start], _mac(secret, data[start:]))

    def _check(self, written: Body) -> None:
        if written.format != self.format:
            raise Refused(f"checkpoint format {written.format}, this release reads {self.format}: {self.remedy}")
        if written.river_version and written.river_version != river.__version__:
            raise Refused(
                f"the checkpoint is River {written.river_version}'s, here runs {river.__version__}: "
                f"go back to that version or {self.remedy}"
            )


def river_version(*, holds_river: bool) -> str:
    """What a body says of River."""
    return river.__version__ if holds_river else ""


def payload_refused(error: Exception, remedy: str) -> Refused:
    """What to raise if a payload that is authentic raised ``error`` while it was loaded."""
    reason = f"{type(error).__name__}: {error}"
    return Refused(f"the checkpoint's payload cannot be loaded ({reason}): keep the last good one, or {remedy}")


def is_signed(mac: bytes, secret: bytes, message: bytes) -> bool:
    """Whether ``mac`` is the HMAC-SHA256 of ``message`` under ``secret``, or under one that it follows."""
    return any(hmac.compare_digest(mac, _mac(key, message)) for key in signing_keys(secret))


def _mac(secret: bytes, packed: bytes) -> bytes:
    return hmac.digest(secret, packed, hashlib.sha256)
