"""What a key may be allowed to do, and which of it each role is."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

Role = Literal["write", "server", "viewer", "editor", "publisher", "admin"]


class Permission(StrEnum):
    """One thing that a caller may be allowed to do; every route names the one it needs."""

    COLLECT = "collect"
    """Say what happened: events, exposures, rewards of at most one."""
    DECIDE = "decide"
    """Ask what to show."""
    REWARD_MONEY = "reward_money"
    """Reward decisions with more than one."""
    READ = "read"
    """Read placements, items, and what was learned."""
    VISITORS = "visitors"
    """Read what is known of a visitor."""
    RANK = "rank"
    """Bring arms of one's own, and have them ranked."""
    ITEMS = "items"
    """Put items in, change them, take them out."""
    UNLINK = "unlink"
    """Say that a browser is not a user's any more."""
    EXPORT = "export"
    """Take out all that is known of a visitor."""
    ERASE = "erase"
    """Have a visitor forgotten."""
    PUBLISH = "publish"
    """Publish a catalog."""
    AUDIT = "audit"
    """Read who did what."""


WRITE = frozenset({Permission.COLLECT, Permission.DECIDE})
"""A write key may stand in a web page: what it allows, everybody may do."""

_VIEWER = frozenset({Permission.READ})
_EDITOR = _VIEWER | {Permission.ITEMS}

GRANTED: dict[Role, frozenset[Permission]] = {
    "write": WRITE,
    "server": WRITE
    | {
        Permission.REWARD_MONEY,
        Permission.READ,
        Permission.VISITORS,
        Permission.RANK,
        Permission.ITEMS,
        Permission.UNLINK,
        Permission.EXPORT,
        Permission.ERASE,
    },
    "viewer": _VIEWER,
    "editor": _EDITOR,
    "publisher": _EDITOR | {Permission.PUBLISH},
    "admin": frozenset(Permission),
}
"""What each role allows. A site's server (``server``) neither publishes nor audits: that is a person's business."""
