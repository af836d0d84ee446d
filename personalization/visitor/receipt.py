"""A consent receipt as deciders use it: what one visitor said of purposes, when, and until when it holds.

It was signed by this installation, so it is believed where the visitor's state cannot be read. It is one more word,
with its own time: what was said later outweighs it.
"""

from __future__ import annotations

import msgspec

from personalization.visitor.purposes import PERSONALISING, Word, Words, spoken


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """A receipt whose signature was verified.

    Attributes
    ----------
    record_id
        Names it, and the event in the log that it was made of.
    key
        Of the visitor it is about.
    purposes
        What they said, by the normal names of purposes.
    at_ms
        When they said it.
    verified
        Whether whoever said it proved to be the visitor, or was a server.
    """

    record_id: str
    key: str
    purposes: dict[str, bool]
    at_ms: int
    verified: bool = False

    def words(self) -> Words:
        """What it says, as it would be recorded.

        >>> Receipt("r", "a:1", {"ads": False}, 5).words()
        {'ads': Word(granted=False, at_ms=5, verified=False)}
        """
        return {purpose: Word(granted, self.at_ms, self.verified) for purpose, granted in self.purposes.items()}

    def grants(self, purposes: tuple[str, ...]) -> bool:
        """Whether it grants each of ``purposes`` itself; of none: personalization.

        >>> receipt = Receipt("r", "a:1", {"personalization": True}, 5)
        >>> receipt.grants(()), receipt.grants(("personalization", "ads"))
        (True, False)
        """
        return all(spoken(self.purposes, purpose) for purpose in purposes or (PERSONALISING,))
