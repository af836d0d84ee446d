"""Ids that are nobody's: what broken clients send instead of one.

Each stands for thousands of people at once. Taken for an id, it would join all of them into a single visitor, and a
link would give that visitor's past to whoever logs in next.
"""

from __future__ import annotations

_NIL_UUID = "00000000-0000-0000-0000-000000000000"
_WORDS = frozenset(
    {
        "undefined", "null", "none", "nan",  # a variable that held nothing, turned into text
        "true", "false", "[object object]",  # one that held something else
        "anonymous", "guest", "anonymousid", "userid",  # what stood there for an id
        _NIL_UUID,
    }
)  # fmt: skip


def is_degenerate(text: str) -> bool:
    """Whether ``text`` is no id of anybody's; words are compared without regard to case.

    >>> [is_degenerate(text) for text in ("undefined", "NULL", "[object Object]", "0", "0000", "1", "nullius")]
    [True, True, True, True, True, False, False]
    """
    return text.lower() in _WORDS or not text.strip("0")
