"""Checks a draft catalog in a process of its own: ``python -P -m api.process.draft_check``, files in, catalog out.

The check reads YAML, compiles every rule and imports what knows models: seconds of CPU, which no decision may wait
for. In a process of its own it takes what others leave, and can be ended when it takes too long.
"""

from __future__ import annotations

import os
import resource
import sys

import msgspec

MAX_CPU_S = 20
"""The check of a catalog as large as a body may be takes a few."""


class DraftMistake(msgspec.Struct, frozen=True):
    """A mistake, and where it stands; line 0 is the file as a whole."""

    file: str
    line: int
    path: str
    code: str
    message: str


class CheckedDraft(msgspec.Struct, frozen=True):
    """What the check says.

    Attributes
    ----------
    catalog
        As it is published; None: it has mistakes.
    """

    catalog: bytes | None
    mistakes: list[DraftMistake] = []


def checked(files: dict[str, bytes]) -> CheckedDraft:
    """The check of a catalog's files, by name."""
    from config.loader import check_files
    from state.catalog_store import encode_catalog

    found = check_files(files)
    if found.catalog is None:
        return CheckedDraft(
            None,
            [
                DraftMistake(each.place.file, each.place.line, each.path, each.code, each.message)
                for each in found.mistakes
            ],
        )
    return CheckedDraft(encode_catalog(found.catalog)[1])


def main() -> None:
    """Read the files from standard input, and write what is to be said of them to standard output."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    files = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=dict[str, bytes])
    sys.stdout.buffer.write(msgspec.msgpack.encode(checked(files)))


if __name__ == "__main__":
    main()
