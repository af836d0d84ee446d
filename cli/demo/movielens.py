"""MovieLens-100k: 100,000 timestamped film ratings of 943 people, in time order.

The file is not ours to pass on (GroupLens' terms): it is read from a public Python package that carries it,
fetched through the interpreter's own pip, or from GroupLens' ``ml-100k.zip``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from personalization.errors import InvalidInput, Unavailable

PACKAGE = "recbole==1.2.1"
WHEEL = "recbole-1.2.1-py3-none-any.whl"
_IN_WHEEL = "recbole/dataset_example/ml-100k/ml-100k."
_IN_ZIP = "ml-100k/u."
DOWNLOAD_TIMEOUT_S = 120

CONTENT_SHA256 = "15b0071a615ff9dc06798664450f9ae494260d7d33baf1ac9bd329f4f791fc8f"
"""Of the ratings as ``timestamp,user,item,rating`` lines in replay order: the same from either source."""

LIKED = 4
"""A rating of 4 or 5 says the person liked the film."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person, as the site knows them."""

    age: int
    gender: str
    occupation: str


@dataclass(frozen=True, slots=True)
class Film:
    """A film."""

    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rating:
    """Somebody rated a film, 1 to 5."""

    timestamp_s: int
    user: int
    item: int
    rating: int

    @property
    def liked(self) -> bool:
        """Whether the person liked it."""
        return self.rating >= LIKED


@dataclass(frozen=True, slots=True)
class MovieLens:
    """The data set.

    Attributes
    ----------
    ratings
        Ordered by (timestamp, user, item).
    """

    ratings: tuple[Rating, ...]
    people: dict[int, Person]
    films: dict[int, Film]


def load(dataset: Path | None = None) -> MovieLens:
    """The data set, from ``dataset`` (the wheel or GroupLens' ``ml-100k.zip``), else from the wheel in the cache.

    Raises
    ------
    InvalidInput
        Where the file is not MovieLens-100k.
    Unavailable
        Where it cannot be fetched.
    """
    path = dataset or _fetched()
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if _IN_WHEEL + "inter" in names:
                data = _from_wheel(archive)
            elif _IN_ZIP + "data" in names:
                data = _from_group_lens(archive)
            else:
                raise InvalidInput("--dataset", f"{path} holds no MovieLens-100k; {_accepted()}")
    except (OSError, zipfile.BadZipFile, ValueError, IndexError, KeyError) as error:
        raise InvalidInput("--dataset", f"cannot read {path} ({error}); {_accepted()}") from error
    if content_sha256(data.ratings) != CONTENT_SHA256:
        raise InvalidInput("--dataset", f"the ratings in {path} are not those of MovieLens-100k; {_accepted()}")
    return data


def content_sha256(ratings: tuple[Rating, ...]) -> str:
    """The checksum that says these are the ratings the published figures are about."""
    text = "".join(f"{r.timestamp_s},{r.user},{r.item},{r.rating}\n" for r in ratings)
    return hashlib.sha256(text.encode()).hexdigest()


def cache_dir() -> Path:
    """Where the wheel is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "nextbest"


def _accepted() -> str:
    return f"give the wheel {WHEEL} (pip download --no-deps {PACKAGE}) or GroupLens' ml-100k.zip"


def _fetched() -> Path:
    folder = cache_dir()
    wheel = folder / WHEEL
    if wheel.is_file():
        return wheel
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), PACKAGE]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
        reason = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = [str(error)]
    if reason or not wheel.is_file():
        why = f" ({reason[0]})" if reason else ""
        raise Unavailable(
            f"cannot fetch MovieLens-100k with pip{why}; or fetch it elsewhere: {_accepted()} as --dataset"
        )
    return wheel


def _rows(archive: zipfile.ZipFile, member: str, separator: str, encoding: str) -> Iterator[list[str]]:
    for line in archive.read(member).decode(encoding).splitlines():
        if line:
            yield line.split(separator)


def _from_wheel(archive: zipfile.ZipFile) -> MovieLens:
    def rows(kind: str) -> Iterator[list[str]]:
        lines = _rows(archive, _IN_WHEEL + kind, "\t", "utf-8")
        next(lines)  # the names of the columns
        return lines

    return _ordered(
        (Rating(int(float(when)), int(user), int(item), int(rating)) for user, item, rating, when in rows("inter")),
        {int(user): Person(int(age), gender, job) for user, age, gender, job, _ in rows("user")},
        {int(item): Film(title, tuple(genres.split())) for item, title, _, genres in rows("item")},
    )


def _from_group_lens(archive: zipfile.ZipFile) -> MovieLens:
    def rows(kind: str, separator: str = "|") -> Iterator[list[str]]:
        return _rows(archive, _IN_ZIP + kind, separator, "latin-1")

    genres = [name for name, _ in rows("genre")]
    films = {}
    for row in rows("item"):
        flags = zip(genres, row[5:], strict=True)
        films[int(row[0])] = Film(row[1].rsplit(" (", 1)[0], tuple(name for name, flag in flags if flag == "1"))
    return _ordered(
        (Rating(int(when), int(user), int(item), int(rating)) for user, item, rating, when in rows("data", "\t")),
        {int(user): Person(int(age), gender, job) for user, age, gender, job, _ in rows("user")},
        films,
    )


def _ordered(ratings: Iterator[Rating], people: dict[int, Person], films: dict[int, Film]) -> MovieLens:
    ordered = sorted(ratings, key=lambda r: (r.timestamp_s, r.user, r.item))
    return MovieLens(tuple(ordered), people, films)
