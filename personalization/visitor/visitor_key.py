"""Visitor keys: the log key and the name of a visitor's state.

A key is the caller's id behind one letter that says what kind of id it is, so that a user id and an
anonymous id which happen to be the same text stay two visitors, and so that the key alone tells who wins a
merge: ``u:`` registered, ``a:`` anonymous.
"""

from __future__ import annotations

MAX_ID_BYTES = 256
"""Longer ids are refused at the door: ids are keys in the log and in Redis."""

NOBODY = "-"
"""The key of decisions made for nobody: their ids lead to no visitor, and rewards for them to no log."""


def user_key(user_id: str) -> str:
    """Key of a registered visitor."""
    return "u:" + user_id


def anonymous_key(anonymous_id: str) -> str:
    """Key of an anonymous visitor."""
    return "a:" + anonymous_id


def visitor_key(user_id: str | None, anonymous_id: str | None) -> str:
    """The log key: the user id if there is one, else the anonymous id; never looked up.

    >>> visitor_key("7", "x"), visitor_key(None, "x")
    ('u:7', 'a:x')
    """
    if user_id:
        return user_key(user_id)
    if anonymous_id:
        return anonymous_key(anonymous_id)
    raise ValueError("a visitor needs a user id or an anonymous id")


def is_registered(key: str) -> bool:
    """Whether the key names a registered visitor."""
    return key.startswith("u:")


def raw_id(key: str) -> str:
    """The caller's own id within the key."""
    return key[2:]
