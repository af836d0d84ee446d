"""Identity: which of two linked keys is the visitor from now on.

The registered id wins; of two anonymous ids the smaller; two registered ids never merge. The order is total,
so chains of links end and never close into a ring.
"""

from __future__ import annotations

from personalization.visitor.visitor_key import is_registered


def canonical_of(left: str, right: str) -> str | None:
    """The key that wins, None where both are registered and differ.

    >>> canonical_of("a:1", "u:7"), canonical_of("a:2", "a:1"), canonical_of("u:1", "u:2")
    ('u:7', 'a:1', None)
    """
    if left == right:
        return left
    if is_registered(left):
        return None if is_registered(right) else left
    if is_registered(right):
        return right
    return min(left, right)


def may_follow(redirect: str, requested: str | None) -> bool:
    """Whether a decider may read the visitor a redirect points to.

    To an anonymous id always; to a registered one only where the request itself names it: somebody who logged
    out is not shown the profile of the person who was logged in.

    >>> may_follow("a:1", None), may_follow("u:7", None), may_follow("u:7", "u:7")
    (True, False, True)
    """
    return not is_registered(redirect) or redirect == requested
