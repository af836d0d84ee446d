"""The audit as commands write it: what is done on the command line is recorded before it is done."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import AsyncIterator, Iterable

from redis.asyncio import Redis

from config.settings import Settings
from installation.secrets_of import installed_secrets
from personalization.audit.record import Act, Trail
from personalization.errors import NextbestError
from personalization.key_derivation import Secrets
from state.assignment_store import AssignmentStore
from state.audit_store import AuditStore
from state.keys import Keys


def login() -> str:
    """Whoever is at this terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


async def audit_of(redis: Redis, settings: Settings, earlier: Iterable[Secrets] = ()) -> AuditStore:
    """The audit of an installation; ``earlier``: secrets it had before those that the settings know.

    Raises
    ------
    Refused
        Where the secret given here is not the installation's: nothing can be signed then.
    """
    secrets = installed_secrets(settings)
    await AssignmentStore(redis, Keys(settings.namespace), secrets).check()
    return AuditStore(redis, settings.namespace, secrets, settings.audit_records, earlier=earlier)


@contextlib.asynccontextmanager
async def recorded(
    settings: Settings, redis: Redis, act: str, *objects: str, trail: Trail = "acts", actor: str = ""
) -> AsyncIterator[None]:
    """Record what the block does before it does it; and that it failed, if it raises.

    Parameters
    ----------
    trail
        ``reads`` for what is only looked at.
    actor
        Who does it; empty: whoever is at this terminal.

    Raises
    ------
    Refused, Unavailable
        Where it cannot be recorded; the block is not run then. What Redis itself refuses or breaks off while the
        secret is looked at, whoever opened it puts into words.
    """
    audit = await audit_of(redis, settings)
    said = Act(trail=trail, actor=actor or f"command line: {login()}", act=act, objects=objects)
    n = await audit.append(said)
    try:
        yield
    except BaseException:
        failed = Act(trail=trail, actor=said.actor, act=act, objects=objects, outcome="failed", of=n)
        with contextlib.suppress(NextbestError):  # what failed is told, and that it was begun is recorded
            await audit.append(failed)
        raise
