"""What became of a decision: rewards and activations by its id.

The id carries the visitor's key, so nothing is looked up but whether they have refused since; the log acknowledges
before anything is said to be done.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from api.access.permissions import Permission
from api.errors import ApiError, money_forbidden
from api.limits.slices import Slices
from api.reading.ids import WireId, check_id
from api.reading.notice import Notice
from api.services.collecting import Taken
from api.services.intake import Intake
from api.services.ports import Services
from eventlog.port import Record
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of
from personalization.events.event import Activated, Rewarded
from personalization.visitor.visitor_key import NOBODY

T = TypeVar("T")

Told: TypeAlias = Rewarded | Activated
"""What became of a decision."""

MAX_REWARD = 1e9
MAX_WRITE_KEY_REWARD = 1.0
"""A write key may stand in a web page: whoever reads it can claim a success, but no sum of money."""


class Rewarder:
    """Takes rewards and activations of decisions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._names: frozenset[str] | None = None
        self._names_of: CompiledCatalog | None = None

    async def reward(
        self,
        decision_id: str,
        value: float,
        intake: Intake,
        *,
        name: str = "",
        message_id: WireId = None,
        final: bool = False,
    ) -> None:
        """Append a reward under the key that the decision was made under.

        Parameters
        ----------
        value
            Within ±``MAX_REWARD``; beyond ±``MAX_WRITE_KEY_REWARD`` it needs the permission to reward with money.
        name
            Picks one of the placement's weights.
        message_id
            The caller's own, by which a reward sent twice counts once.
        final
            Nothing more will come: the decision closes.

        Raises
        ------
        InvalidInput
            Names the field: ``value``, ``name``, ``messageId`` or ``decisionId``.
        ApiError
            403 for money by a key that may not.
        Unavailable
            Where the log did not take it.
        """
        told = self.rewarded(decision_id, value, intake, name=name, message_id=message_id, final=final)
        await self.append([told], intake)

    def rewarded(
        self, decision_id: str, value: float, intake: Intake, *, name: str, message_id: WireId, final: bool
    ) -> Rewarded:
        """A reward, checked; parameters and errors are those of ``reward``."""
        if not math.isfinite(value) or abs(value) > MAX_REWARD:
            raise InvalidInput("value", f"must be a finite number within ±{MAX_REWARD:g}", "bad_number")
        if abs(value) > MAX_WRITE_KEY_REWARD and not intake.caller.access.may(Permission.REWARD_MONEY):
            raise money_forbidden(MAX_WRITE_KEY_REWARD)
        checked = check_id(name, "name") or ""
        self._check_name(checked)
        return Rewarded(
            message_id=_message_id(message_id, intake),
            decision_id=decision_id,
            value=value,
            name=checked,
            final=final,
        )

    async def activate(self, decision_id: str, intake: Intake) -> None:
        """Append that a deferred decision was shown; sent again it says nothing new, and needs no message id.

        Raises ``InvalidInput`` for an id we did not make, ``Unavailable`` where the log did not take it.
        """
        await self.append([Activated(decision_id=decision_id)], intake)

    async def take(self, sent: Sequence[T], read: Callable[[T], Told], intake: Intake) -> Taken:
        """Take what became of several decisions, and wait until the log has it. A bad one keeps no good one back.

        Parameters
        ----------
        read
            Makes a reward or an activation of what was sent; raises as ``rewarded`` does.

        Raises
        ------
        Unavailable
            Where the log did not take them: nothing is accepted.
        """
        taken = Taken()
        records: dict[int, Record] = {}
        slices = Slices(self._services.turnstile)
        for index, raw in enumerate(sent):
            if slices.is_over:
                await slices.pause()
            try:
                told = read(raw)
                records[index] = intake.record(self._key(told), told)
                taken.warnings += [(index, notice) for notice in intake.notices]
            except InvalidInput as error:
                taken.rejected.append((index, error))
            except ApiError as error:
                taken.rejected.append((index, InvalidInput(error.field or "body", error.message, error.code)))
            intake.notices.clear()
        admitted = await self._admitted({record.key for record in records.values()}, intake)
        kept = [record for record in records.values() if record.key in admitted]
        taken.warnings += [(index, _NO_CONSENT) for index, one in records.items() if one.key not in admitted]
        if len(kept) < len(records):
            self._services.metrics.unlogged.labels("consent").inc(len(records) - len(kept))
        if kept:
            await self._services.append(kept)
        taken.n_accepted = len(kept)
        return taken

    async def append(self, told: Sequence[Told], intake: Intake) -> None:
        """Append what became of decisions: all of it at once, or nothing.

        Raises
        ------
        InvalidInput
            For an id we did not make.
        Unavailable
            Where the log did not take it.
        """
        keyed = [(self._key(each), each) for each in told]
        admitted = await self._admitted({key for key, _ in keyed}, intake)
        records = [intake.record(key, each) for key, each in keyed if key in admitted]
        if len(records) < len(keyed):
            self._services.metrics.unlogged.labels("consent").inc(len(keyed) - len(records))
        if records:
            await self._services.append(records)

    def _check_name(self, name: str) -> None:
        catalog = self._services.catalog.current.catalog
        if catalog is not self._names_of:
            self._names, self._names_of = names_of_rewards(catalog), catalog
        if name and self._names is not None and name not in self._names:
            known = ", ".join(sorted(self._names)[:20])
            raise InvalidInput(
                "name",
                f"no placement's weights list {name[:64]!r}; there are: {known}. Leave it out for a reward without",
                "unknown_name",
            )

    def _key(self, told: Told) -> str:
        return key_of(self._services.secrets.key("decision-ids"), told.decision_id)

    async def _admits(self, key: str, intake: Intake) -> bool:
        """Whether the log may have it: decided without consent it is nobody's, and who refused since keeps none."""
        return key != NOBODY and await self._services.consent.admits_answer(key, intake)

    async def _admitted(self, keys: Iterable[str], intake: Intake) -> set[str]:
        """Those of the keys under which the log may have it; what is asked at once is read at once."""
        asked, admitted = list(keys), set()
        if len(asked) == 1:  # so nearly always
            return set(asked) if await self._admits(asked[0], intake) else set()
        for some in (asked[at : at + _READ_AT_ONCE] for at in range(0, len(asked), _READ_AT_ONCE)):
            answers = await asyncio.gather(*[self._admits(key, intake) for key in some])
            admitted |= {key for key, may in zip(some, answers, strict=True) if may}
        return admitted


_READ_AT_ONCE = 100
"""Visitors: their states take a few milliseconds to decode."""

_NO_CONSENT = Notice(
    "decisionId",
    "no_consent",
    "was not logged: it was decided without consent to personalization, or the visitor has refused it since",
)


def _message_id(sent: WireId, intake: Intake) -> str:
    """The caller's id in a space of its own: the decision itself is known to the fold by its decision id."""
    checked = intake.id(sent, "messageId")
    return f"reward:{checked}" if checked else uuid.uuid4().hex


def names_of_rewards(catalog: CompiledCatalog) -> frozenset[str] | None:
    """The names a reward may have, None where any may be meant.

    A decision id does not say of which placement it is. So a name is wrong only if no placement lists it, while
    every one that has rewards lists its names.
    """
    rewarded = [each for each in catalog.catalog.placements.values() if each.rewards or each.weights]
    if not rewarded or not all(each.weights for each in rewarded):
        return None
    return frozenset(name for each in rewarded for name in each.weights)
