"""The keys that decisions are made under, one per purpose."""

from __future__ import annotations

from dataclasses import dataclass

from personalization.errors import InvalidInput
from personalization.events.decision_id import open_id
from personalization.key_derivation import Secrets, accepted, whole_secrets


@dataclass(frozen=True, slots=True)
class DecisionKeys:
    """What is secret about decisions.

    Attributes
    ----------
    ids
        Seals decision ids.
    draws
        Draws the tickets that are named by a decision id.
    assignment
        Says who is in which experiment, and draws what calls have to agree on: sticky choices, and the nonces of
        requests that are sent again. It never changes, whatever secret is in force.
    """

    ids: bytes
    draws: bytes
    assignment: bytes

    @classmethod
    def of(cls, secrets: Secrets, assignment: bytes | None = None) -> DecisionKeys:
        """The keys under ``secrets``; ``assignment`` as the installation keeps it, None: it never rotated."""
        return cls(
            ids=secrets.key("decision-ids"),
            draws=secrets.key("draws"),
            assignment=secrets.eldest if assignment is None else assignment,
        )

    def draw_key(self, decision_id: str) -> bytes:
        """What the ticket named by ``decision_id`` was drawn with, under whichever secret that was.

        Raises
        ------
        InvalidInput
            Where the id was made under none of the secrets.
        """
        try:
            made = open_id(self.ids, decision_id)
        except InvalidInput as error:
            raise InvalidInput(
                "decision_id",
                "was made under a secret that is not known here any more: it cannot be made again",
            ) from error
        return (accepted if made.sealed else whole_secrets)(self.draws)[made.at]
