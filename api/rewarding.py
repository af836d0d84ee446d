"""What became of a decision: rewards and activations by its id.

The id carries the visitor's key, so nothing is looked up but whether they have refused since; the log acknowledges
before anything is said to be done.
"""

from __future__ import annotations

import math
import uuid

from api.access.permissions import Permission
from api.errors import money_forbidden
from api.ids import WireId, check_id
from api.intake import Intake
from api.services import Services
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of
from personalization.events.event import Activated, Event, Rewarded
from personalization.visitor.visitor_key import NOBODY

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
        if not math.isfinite(value) or abs(value) > MAX_REWARD:
            raise InvalidInput("value", f"must be a finite number within ±{MAX_REWARD:g}", "bad_number")
        if abs(value) > MAX_WRITE_KEY_REWARD and not intake.caller.access.may(Permission.REWARD_MONEY):
            raise money_forbidden(MAX_WRITE_KEY_REWARD)
        checked = check_id(name, "name") or ""
        self._check_name(checked)
        rewarded = Rewarded(
            message_id=_message_id(message_id, intake),
            decision_id=decision_id,
            value=value,
            name=checked,
            final=final,
        )
        await self._append(intake, decision_id, rewarded)

    async def activate(self, decision_id: str, intake: Intake) -> None:
        """Append that a deferred decision was shown; sent again it says nothing new, and needs no message id.

        Raises ``InvalidInput`` for an id we did not make, ``Unavailable`` where the log did not take it.
        """
        await self._append(intake, decision_id, Activated(decision_id=decision_id))

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

    async def _append(self, intake: Intake, decision_id: str, event: Event) -> None:
        services = self._services
        key = key_of(services.secrets.key("decision-ids"), decision_id)
        if key == NOBODY or not await services.consent.admits_answer(key, intake):
            # Decided without consent there is no visitor's log it could go to; who refused since keeps none of it.
            services.metrics.unlogged.labels("consent").inc()
            return
        await services.log.append([intake.record(key, event)])


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
