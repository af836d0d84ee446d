"""A decision made again from its record: same versions, same features, same draw."""

from __future__ import annotations

import msgspec

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.deciding.candidates import features_by_arm
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.distribution import ArmDistribution, ticket, uniform
from personalization.deciding.draw import sticky_draw_name
from personalization.deciding.reward_scorer import RewardScorer
from personalization.errors import InvalidInput
from personalization.events.decision_record import DecisionRecord


class Recomputed(msgspec.Struct, frozen=True):
    """A decision made again from its record; of an apprentice, what its policy would have chosen."""

    arm: str
    ticket: int
    distribution: ArmDistribution


def recompute(
    record: DecisionRecord, catalog: CompiledCatalog, scorer: RewardScorer, keys: DecisionKeys
) -> Recomputed:
    """Make a drawn decision again: same catalog and model versions, same features, same draw.

    Parameters
    ----------
    catalog, scorer
        Of the versions the record names.
    keys
        Of the installation; a decision made under the secret before is made again under that one.

    Raises
    ------
    InvalidInput
        Where the versions differ, the record is of a choice that nothing was drawn for, or its secret is not known.
    """
    choice = record.choice
    if choice.catalog_version != catalog.version:
        raise InvalidInput("catalog_version", f"the record needs catalog {choice.catalog_version}")
    if record.ticket is None:
        raise InvalidInput("ticket", "nothing was drawn for this decision")
    placement = catalog.placements[choice.placement].varied(choice.variant)
    if placement is None:
        raise InvalidInput("variant", f"catalog {catalog.version} has no variant {choice.variant!r} there")
    spec = placement.spec
    if choice.holdout:
        distribution = uniform(record.arms, "uniform")
    else:
        distribution = scorer.distribution(
            record.arms,
            record.features,
            policy=spec.policy,
            arm_features={**(features_by_arm(placement.arms) or {}), **record.arm_features} or None,
        )
        if distribution.model_version != choice.model_version:
            raise InvalidInput("model_version", f"the record needs model {choice.model_version}")
    drawn = ticket_of(record, keys)
    return Recomputed(distribution.arms[distribution.draw(drawn)], drawn, distribution)


def ticket_of(record: DecisionRecord, keys: DecisionKeys) -> int:
    """The ticket of a drawn decision, in [0, 2³²), from what names the draw and the installation's secret alone.

    Raises
    ------
    InvalidInput
        Where the secret that it was drawn under is not known.
    """
    if record.sticky:
        choice = record.choice
        name = sticky_draw_name(
            unit=record.unit, placement=choice.placement, slot=choice.slot, replaces=record.replaces
        )
        return ticket(keys.assignment, name)
    # The message is named as the draw was; so is the decision, unless its id follows from the arm.
    return ticket(keys.draw_key(record.message_id), record.message_id)
