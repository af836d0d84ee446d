"""A file's bytes, unzipped where its first bytes say so; what is no text is refused by what it is."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from personalization.errors import InvalidInput

_UNPACK = "unpack it, or pack it with gzip"
_SAVE = "save the sheet as CSV"

_OTHERS = {
    b"PK\x03\x04": f"is an Excel workbook or a zip archive: {_SAVE}, or unpack it",
    b"\xd0\xcf\x11\xe0": f"is an old Excel workbook: {_SAVE}",
    b"PAR1": "is a Parquet file: write it as CSV",
    b"SQLite format 3": "is a database: export the table as CSV",
    b"%PDF": "is a PDF: export the table as CSV",
    b"BZh": f"is packed with bzip2: {_UNPACK}",
    b"\xfd7zXZ": f"is packed with xz: {_UNPACK}",
    b"\x28\xb5\x2f\xfd": f"is packed with zstd: {_UNPACK}",
}


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes from the start.

    Raises
    ------
    InvalidInput
        Where the file cannot be read, is no text, or is cut off; also out of the block.
    """
    try:
        with path.open("rb") as raw:
            first = raw.read(16)
            for magic, what in _OTHERS.items():
                if first.startswith(magic):
                    raise InvalidInput(str(path), what)
            raw.seek(0)
            if first.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=raw) as unzipped:
                    yield cast(BinaryIO, unzipped)
            else:
                yield raw
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(str(path), f"cannot be read: {error}; is it whole?") from error
