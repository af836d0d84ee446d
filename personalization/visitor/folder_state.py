"""What only the folder needs of a visitor: open decisions, held rewards, what was seen already.

Kept beside the visitor's state, in the same hash slot, so that the decider reads nothing it does not use.
"""

from __future__ import annotations

import msgspec

from personalization.features import FeatureValue
from personalization.visitor.choice import Choice

MAX_OPEN_EXPOSED = 256
MAX_OPEN_UNEXPOSED = 64
MAX_OPEN_BYTES = 64 * 1024
"""Of the features of all open decisions."""

MAX_SOURCES = 1024
SOURCE_MEMORY_MS = 3_600_000
"""A second copy of a derived event follows the first by as long as a worker takes to restart: seconds."""

MAX_MESSAGE_IDS = 1024
"""A phone's whole queue, sent again because the answer was lost."""

MESSAGE_ID_BYTES = 6
"""Among 1,024 ids the chance that a new one is taken for another is 4·10⁻¹²."""

MESSAGE_MEMORY_MS = 24 * 3_600_000
MAX_HELD_REWARDS = 16
MAX_RECENT_CREDITS = 16
MAX_CLOSED = 64
MAX_PARTICIPATIONS = 32
"""Experiments whose horizons are open at once."""
MAX_OPEN_EXAMPLES = 16
"""Of all conversions together: half a month of daily visits, for one."""

HOLD_MS = 60_000
"""How long a reward waits for its decision, and a reward-capable event for a decision that comes by a merge."""


class Lineage(msgspec.Struct, frozen=True, array_like=True):
    """Where a decision comes from: what bounds influence, and judges by the right rules.

    See the fields of the same names of ``personalization.events.outcome.Outcome``.
    """

    key_class: str
    by: str = ""
    origin: bytes = b""
    rules: bytes = b""


class Terms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the placement said of rewards in the catalog that a decision was made under.

    Attributes
    ----------
    window_ms
        How long after its exposure it can be rewarded.
    default_reward
        What it is worth if nothing rewards it.
    low, high
        Its total reward is clipped to [low, high].
    combine
        What several rewards of one name count: the largest (``max``) or the ``first``; empty: their sum.
    """

    window_ms: int = 30 * 60_000
    default_reward: float = 0.0
    low: float = 0.0
    high: float = 1.0
    combine: str = ""


class OpenDecision(msgspec.Struct, array_like=True):
    """A decision whose reward window is open.

    ``due_ms`` is when it closes: exposure + window, or, while it was not shown, decision + window.
    """

    choice: Choice
    terms: Terms
    decided_at_ms: int
    due_ms: int
    features: msgspec.Raw
    arm_features: msgspec.Raw
    trains: bool
    exposed_at_ms: int | None = None
    reward: float = 0.0
    n_rewards: int = 0
    by_name: dict[str, float] = {}
    """Weighted rewards so far by name, where ``combine`` has to know them apart; ``reward`` is their sum."""
    lineage: Lineage | None = None
    """None where nobody knows who asked for it."""
    by_reward: int = 0
    """1: only a reward says that it was shown; 2: and that reward was the final one."""
    sample_weight: float = 1.0
    """How many decisions it stands for: itself, and its share of those that were closed for want of room."""
    called: list[str] = []
    """Names of the rewards that calls of pages brought: each counts once."""
    rewarded_from: bytes = b""
    """The network of a page that rewarded it; empty: none did, or it is not known."""
    predicted: float | None = None
    """The reward that the model expected; None: no policy chose by a model."""
    trace: bytes | None = None
    """The recorded trace it was made in, for its outcome to carry on; None: none was recorded."""


class HeldReward(msgspec.Struct, array_like=True):
    """A reward or activation that arrived before its decision; an orphan once ``until_ms`` has passed.

    One of a ``placement`` is an activation of all that its id's call decides there until then, and never an orphan.
    """

    decision_id: str
    value: float | None
    final: bool
    until_ms: int
    name: str = ""
    by_page: bool = False
    origin: bytes = b""
    placement: str = ""


class Credit(msgspec.Struct, array_like=True):
    """What one client event is worth to one placement, and which arm was acted on, where it says.

    ``value`` is weighted; by name where the event brought more than the nameless kind. ``decision_id`` is the
    decision the event names, which alone it may reward; empty: it names none. ``origin`` is the network of the page
    that brought the event; empty: none did, or it is not known.
    """

    placement: str
    value: float | dict[str, float]
    arm: str | None
    at_ms: int
    decision_id: str = ""
    origin: bytes = b""


class OpenExample(msgspec.Struct, array_like=True):
    """A session's start that waits to be labelled: does ``conversion`` come by ``due_ms``?

    ``due_ms`` and ``early`` are the terms of the catalog it was opened under.
    """

    example_id: str
    conversion: str
    opened_ms: int
    due_ms: int
    early: bool
    converted: bool
    features: dict[str, FeatureValue]


class Conversions(msgspec.Struct, array_like=True):
    """A visitor's open examples, oldest first, and when each conversion was seen last."""

    open: list[OpenExample] = []
    last_ms: dict[str, int] = {}


class Participation(msgspec.Struct, array_like=True):
    """What a visitor does in the experiment of a placement, while its horizon is open.

    ``due_ms`` is when it closes, by the catalog it was opened under; the sides of ``split`` name the experiment.
    The other fields are those of ``personalization.events.participant.Participant``, not yet limited by caps.
    """

    participant_id: str
    placement: str
    side: str
    split: dict[str, float]
    first_ms: int
    due_ms: int
    before: dict[str, float] = {}
    segments: list[str] = []
    values: dict[str, float] = {}
    after_ms: dict[str, int] = {}
    cost: float = 0.0
    crossover: bool = False


class Enrolment(msgspec.Struct, array_like=True):
    """That a visitor took part in a placement's experiment, the last one.

    Attributes
    ----------
    sides
        What it compares: its name, in effect.
    control
        How probable the holdout was when their side of it was drawn; 0: there was none.
    """

    sides: list[str]
    control: float


class Participations(msgspec.Struct, array_like=True):
    """What a visitor takes part in now, and took part in, by placement; and what came of them so far, by metric."""

    open: list[Participation] = []
    enrolled: dict[str, Enrolment] = {}
    totals: dict[str, float] = {}
    recent: list[tuple[str, float, int]] = []
    """What counted within the last minute, and when it was received: an exposure may be on its way behind it."""


ALL = ""
"""Stands for all names where the time of the next look is kept by name: an entry of an older catalog came."""


class Memberships(msgspec.Struct, array_like=True):
    """Which of the segments that are followed the visitor is in.

    Attributes
    ----------
    rules
        Stands for the rules they were found by.
    inside
        The names of those that held when last looked at, sorted: equal states have equal bytes.
    due_ms
        When time alone next changes each of them, by name; a name without one: never.
    version
        Of the catalog whose rules these are. Entries of older ones may still come.
    """

    rules: bytes = b""
    inside: list[str] = []
    due_ms: dict[str, int] = {}
    version: int = 0


class WatchedTiers(msgspec.Struct, array_like=True):
    """When tiers of scores change next, and what was told of them.

    Attributes
    ----------
    version
        Of the catalog whose scores these are. Entries of older ones may still come.
    due_ms
        When time alone next changes each score's tier, or may; a score without one: never.
    told_ms
        By score and tier, when it was told last, as far as it is not told again before a while has passed.
    room
        By score, how many points may still be given before the next tier can be reached: those given since the
        score was last worked out are taken off, and nothing is put back for what faded.
    """

    version: int = 0
    due_ms: dict[str, int] = {}
    told_ms: dict[str, dict[str, int]] = {}
    room: dict[str, float] = {}


class Kept(msgspec.Struct, array_like=True, gc=False):
    """Since when a visitor is known, and how long what is kept of them is kept.

    Attributes
    ----------
    since_ms, heard_ms
        When they were heard of for the first and for the last time.
    due_ms
        When it is looked at next whether they are to be forgotten: one time-out has that time, however often they
        are heard of before.
    is_record
        Their profile is forgotten, and what is left is what outlives it.
    linked_ms
        At a redirect: when somebody last logged in who it leads to. 0: it is not known.
    """

    since_ms: int
    heard_ms: int
    due_ms: int
    is_record: bool = False
    linked_ms: int = 0


class FolderState(msgspec.Struct, array_like=True):
    """The folder's own part of a visitor."""

    message_ids: bytes = b""
    """6-byte hashes of the latest message ids, oldest first; cleared after a day of silence."""
    sources: dict[bytes, tuple[int, int, int, int]] = {}
    """Highest (epoch, offset, n) of derived events applied, and when, per 8-byte hash of the source key."""
    open: list[OpenDecision] = []
    """Oldest first."""
    held: list[HeldReward] = []
    recent: list[Credit] = []
    closed: bytes = b""
    """8-byte hashes of the decisions closed latest, oldest first."""
    closed_arms: bytes = b""
    """Beside each of them eight bytes: its placement, its arm, when it closed (``closed_memory``)."""
    conversions: Conversions | None = None
    """None where the catalog asks for none: then nothing of it is stored."""
    parts: dict[str, msgspec.Raw] | None = None
    """What further parts of the fold keep, by the part's name; None: nothing, and nothing is stored."""
    memberships: Memberships | None = None
    """None if no segment is followed: then nothing of it is stored."""
    tiers: WatchedTiers | None = None
    """None if no score has tiers: then nothing of it is stored."""
    kept: Kept | None = None
    """None until they are heard of."""
    erased_ms: int = 0
    """What was received up to then is never applied: the visitor asked for it. 0: they did not."""
    participations: Participations | None = None
    """None if they took part in nothing, and nothing came of them that counts: then nothing of it is stored."""


_N_FIELDS = len(FolderState.__struct_fields__)
_HEADS = [bytes([0x90 | n]) for n in range(_N_FIELDS + 1)]
"""Heads of a msgpack array of up to 15 items, by their number."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FolderState)


def encode_folder(folder: FolderState) -> bytes:
    """The folder's part as stored; parts at its end that hold nothing take no room."""
    data = _encoder.encode(folder)
    n_absent = 0
    # Each is one byte if it holds nothing.
    for part in (
        folder.participations,
        folder.erased_ms or None,
        folder.kept,
        folder.tiers,
        folder.memberships,
        folder.parts,
        folder.conversions,
    ):
        if part is not None:
            break
        n_absent += 1
    return _HEADS[_N_FIELDS - n_absent] + data[1 : len(data) - n_absent] if n_absent else data


def decode_folder(data: bytes) -> FolderState:
    """The folder's part back; raises ``msgspec.DecodeError`` where the bytes are something else."""
    return _decoder.decode(data)
