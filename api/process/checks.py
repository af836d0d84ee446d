"""What the parts of a process say of themselves for ``/readyz``, for everybody to read; None: all is well."""

from __future__ import annotations

import asyncio

from redis.exceptions import TimeoutError as RedisTimeoutError

from api.process.outages import in_public_words
from state.catalog_follower import CatalogFollower
from state.model_store import ModelFollower

STALE_S = 10.0
"""Models are asked for every second: this long without an answer is no hiccup."""


def words(error: BaseException | None) -> str | None:
    """A failure, for everybody to read."""
    return None if error is None else in_public_words(error)


def too_slow(error: BaseException | None, timeout_ms: int) -> str | None:
    """Why the decider's reads fail, lately."""
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return f"Redis does not answer within the {timeout_ms} ms that a decision may wait for it"
    return words(error)


def no_catalog(follower: CatalogFollower) -> str | None:
    """Why there is no catalog to decide by."""
    if follower.ready:
        return None
    return follower.waits_for or "none is published yet, or Redis could not tell"


def unreadable(follower: CatalogFollower) -> str | None:
    """Which version of the catalog cannot be used here."""
    if not follower.refused or not follower.ready:
        return None
    version = follower.current.version
    return f"version {follower.refused} cannot be used here, version {version} stays: this process's log says why"


def not_current(models: ModelFollower) -> str | None:
    """How old the models are, or which of them cannot be read here."""
    for_s = asyncio.get_running_loop().time() - models.reached_ms / 1000
    if models.reached_ms and for_s > STALE_S:
        return f"they are as they were {for_s:.0f} s ago: Redis has not told of newer ones since"
    return refused(models.refused)


def refused(names: list[str]) -> str | None:
    """Which of the newest models cannot be read here."""
    if not names:
        return None
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"the newest of {', '.join(names[:5])}{more} cannot be read here: this process's log says why"
