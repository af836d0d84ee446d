"""What persons are assigned by, kept beside the installation's data, so that no rotation of a secret moves anybody.

It is the secret that the installation began with. Who is in which experiment and what a sticky choice draws has
been hashed with that from the first day, and would be another with any other.
"""

from __future__ import annotations

from redis.asyncio import Redis

from personalization.key_derivation import Secrets
from state.keys import Keys
from state.noted_secret import NotedSecret

PURPOSE = "assignment"


class AssignmentStore(NotedSecret):
    """Notes and finds what persons are assigned by."""

    def __init__(self, redis: Redis, keys: Keys, secrets: Secrets) -> None:
        super().__init__(
            redis,
            keys.assignment,
            secrets,
            PURPOSE,
            "persons are assigned to experiments under another secret than those given here: set "
            "NEXTBEST_SECRET to the installation's, or NEXTBEST_SECRET_BEFORE to the one it had before; if "
            f"that is lost, delete {keys.assignment} in Redis, and everybody is assigned anew",
        )

    async def load(self) -> bytes:
        """What persons are assigned by; noted now if nothing is, or not any more.

        Raises
        ------
        Refused
            Where it was noted under secrets that are not known here.
        """
        return await self.note(self._secrets.eldest)
