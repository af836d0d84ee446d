"""A file of the page script as browsers get it: compressed once, named by what is in it."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

_BUILT = Path(__file__).parent / "built"
_HASH_CHARS = 16


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """What is served of it.

    Attributes
    ----------
    hash
        How the SHA-256 of its text begins, in hex: the part of its name that another text would not have.
    """

    text: bytes
    zipped: bytes
    hash: str

    @classmethod
    def of(cls, text: bytes) -> ScriptFile:
        """The file with that text; compressing it takes half a millisecond."""
        digest = hashlib.sha256(text).hexdigest()
        return cls(text, gzip.compress(text, 9, mtime=0), digest[:_HASH_CHARS])

    def is_held_by(self, if_none_match: bytes | None) -> bool:
        """Whether a header ``If-None-Match`` names this text; a proxy may have made its tag strong."""
        return b'"%s"' % self.hash.encode() in (if_none_match or b"")

    @property
    def tag(self) -> bytes:
        """Its entity tag, as the header has it; weak, for it is the same of both encodings."""
        return b'W/"%s"' % self.hash.encode()


def built(name: str) -> ScriptFile:
    """A file that ``scripts/page`` built."""
    return ScriptFile.of((_BUILT / name).read_bytes())
