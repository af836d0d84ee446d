"""A decision made again: its choice from the record alone, its scores by the model as it was then."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from installation.opened import Installation, published
from installation.secrets_of import secrets_of
from online_models.build import this_build
from online_models.snapshot import unpack_version
from operations.redeciding.model import ModelAt, model_at
from operations.replay.base import Base
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.distribution import SCALE, ArmDistribution
from personalization.deciding.recompute import recompute, ticket_of
from personalization.errors import InvalidInput, NextbestError
from personalization.events.decision_record import DecisionRecord, pack_f32, unpack_f32
from state.assignment_store import AssignmentStore

TOLERANCE = 1e-6
"""Of a score, in reward units, between two builds."""


class Verdict(StrEnum):
    """How what was made again compares to what was recorded."""

    SAME = "same"
    """Bit for bit."""
    CLOSE = "close"
    """Within ``TOLERANCE``."""
    DIFFERENT = "different"
    NOT_MADE = "not made"
    """There was nothing to make again, or it cannot be."""


class Redecided(msgspec.Struct, frozen=True, kw_only=True):
    """A decision made again.

    Attributes
    ----------
    arm
        What was chosen then.
    choice, choice_words
        Whether the recorded probabilities, by the ticket, give that arm.
    scores, scores_words
        Whether the model of then gives the recorded estimates, deviations and probabilities.
    largest_difference
        Between an estimate or deviation of then and now, reward units; None: none was made again.
    begun_at, n_relearned
        Outcomes in the copy of the model that was begun with, and records that were learned after it.
    build_then, build_now
        What that copy was written by, and what runs here.
    """

    decision_id: str
    placement: str
    arm: str
    model_version: int
    model_generation: int
    learned: int
    catalog_version: int
    choice: Verdict
    choice_words: str
    scores: Verdict
    scores_words: str
    largest_difference: float | None = None
    begun_at: int | None = None
    n_relearned: int | None = None
    build_then: str = ""
    build_now: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing that was made again is different."""
        return Verdict.DIFFERENT not in (self.choice, self.scores)


async def redecide(opened: Installation, record: DecisionRecord, base: Base | None = None) -> Redecided:
    """Make the decision of a ``record`` again; what cannot be made again is said in words, and raises nothing.

    Parameters
    ----------
    base
        Saved before the decision, where the log no longer reaches back to it.
    """
    keys = await _keys(opened)
    choice, words = chosen_again(record, keys)
    generation, learned = unpack_version(record.choice.model_version)
    told = Redecided(
        decision_id=record.choice.decision_id,
        placement=record.choice.placement,
        arm=record.choice.arm,
        model_version=record.choice.model_version,
        model_generation=generation,
        learned=learned,
        catalog_version=record.choice.catalog_version,
        choice=choice,
        choice_words=words,
        scores=Verdict.NOT_MADE,
        scores_words="",
        build_now=this_build(),
    )
    if record.ticket is None or record.choice.holdout:
        return msgspec.structs.replace(told, scores_words="No model was asked.")
    try:
        catalog = await published(opened.catalogs)(record.choice.catalog_version)
        model = await model_at(opened, catalog, record.choice.model, record.choice.model_version, base)
        again = recompute(record, catalog, model.snapshot, keys).distribution
    except NextbestError as error:
        return msgspec.structs.replace(told, scores_words=f"The scores cannot be made again: {error}.")
    return _compared(told, record, again, model)


def chosen_again(record: DecisionRecord, keys: DecisionKeys) -> tuple[Verdict, str]:
    """Whether the recorded probabilities, by the ticket, give the recorded arm; and that in words."""
    if record.ticket is None:
        return Verdict.NOT_MADE, f"Nothing was drawn ({record.reason})."
    chosen = record.choice.policy_arm or record.choice.arm
    if sum(record.weights) != SCALE:
        return Verdict.DIFFERENT, "The recorded probabilities do not sum to 1: the record is damaged."
    means, sds = unpack_f32(record.means_f32), unpack_f32(record.sds_f32)
    distribution = ArmDistribution(record.arms, record.weights, means, sds, "", 0)
    at = distribution.draw(record.ticket)
    if record.arms[at] != chosen:
        return Verdict.DIFFERENT, f"The ticket falls on {record.arms[at]}, and {chosen} is recorded."
    if record.choice.policy != "apprentice" and record.choice.weight != record.weights[at]:
        return Verdict.DIFFERENT, f"The recorded probability of {chosen} is not the one that it was drawn with."
    probability = record.weights[at] / SCALE
    falls = f"The ticket {record.ticket / SCALE:.6f} falls on {chosen}, whose probability is {probability:.6f}"
    try:
        drawn = ticket_of(record, keys)
    except InvalidInput as error:
        return Verdict.SAME, f"{falls}; the ticket itself is the recorded one, as {error}."
    if drawn != record.ticket:
        return Verdict.DIFFERENT, "The installation's secret gives another ticket than the recorded one."
    return Verdict.SAME, f"{falls}; the installation's secret gives the same ticket."


def _compared(told: Redecided, record: DecisionRecord, again: ArmDistribution, model: ModelAt) -> Redecided:
    same = (
        pack_f32(again.means) == record.means_f32
        and pack_f32(again.sds) == record.sds_f32
        and again.weights == record.weights
    )
    then = (*unpack_f32(record.means_f32), *unpack_f32(record.sds_f32))
    difference = max(abs(a - b) for a, b in zip(then, (*again.means, *again.sds), strict=True))
    if same:
        difference = 0.0
    n_arms = len(record.arms)
    if same:
        verdict, words = Verdict.SAME, f"The scores of all {n_arms} arms are the recorded ones, bit for bit."
    elif difference <= TOLERANCE:
        verdict = Verdict.CLOSE
        words = f"The scores of all {n_arms} arms are the recorded ones to {difference:.1e}, not bit for bit"
        words += f"{_why(model)}."
    elif model.n_gone:
        entries = "an entry" if model.n_gone == 1 else f"{model.n_gone:,} entries"
        verdict = Verdict.NOT_MADE
        words = (
            f"The scores cannot be made again: {entries} that the model may have learned from went when somebody "
        )
        words += f"was erased. Without that they differ by up to {difference:.3g}."
    else:
        verdict = Verdict.DIFFERENT
        words = f"The scores differ from the recorded ones by up to {difference:.3g}{_why(model)}."
    return msgspec.structs.replace(
        told,
        scores=verdict,
        scores_words=words,
        largest_difference=difference,
        begun_at=model.begun_at,
        n_relearned=model.n_read,
        build_then=model.build,
    )


def _why(model: ModelAt) -> str:
    if model.build == this_build():
        return ""
    then = model.build or "a release that did not say by what it computed"
    return f": the model was learned by another build ({then}; here {this_build()})"


async def _keys(opened: Installation) -> DecisionKeys:
    secrets = secrets_of(opened.settings)
    return DecisionKeys.of(secrets, await AssignmentStore(opened.redis, opened.keys, secrets).find())
