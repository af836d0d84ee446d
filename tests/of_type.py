"""What is typed as one of several, where a test knows which."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def of_type(kind: type[T], value: object) -> T:
    assert isinstance(value, kind), f"{value!r} is no {kind.__name__}"
    return value
