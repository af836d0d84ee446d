"""Every placement's model learned anew from the outcomes the log holds, saved and published.

The new checkpoints are of a new generation, so what a learner that was cut off still publishes is refused; the next
learner goes on behind the last outcome learned here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cli.replay.base import Base
from cli.replay.parts import Parts
from cli.replay.states import starts_of
from config.settings import DEVELOPMENT_SECRET
from eventlog.topics import OUTCOMES
from online_models import checkpoint
from online_models.placement_model import PlacementModel
from personalization.catalog import Catalog
from personalization.errors import InvalidInput, Refused
from personalization.outcome import decode_outcome
from state.checkpoint_store import CheckpointHeader, CheckpointStore, StoredCheckpoint
from state.model_store import ModelPublisher, Published
from stream.learner import model_spec


@dataclass(slots=True)
class RebuiltModels:
    """What was done; ``learned`` is outcomes per placement."""

    n_outcomes: int = 0
    n_dead: int = 0
    learned: dict[str, int] = field(default_factory=dict)


async def rebuild_models(parts: Parts, base: Base | None, *, retained: bool = False) -> RebuiltModels:
    """Learn all outcomes from the log's beginning, from a base, or (``retained``) whatever is still there.

    Raises
    ------
    Refused
        Where the log no longer holds what is needed, or the secret is not the installation's.
    """
    catalog = await _current_catalog(parts)
    n_partitions = (await parts.log.identity()).n_partitions
    found = [base.checkpoint(number) if base is not None else None for number in range(n_partitions)]
    behind_base = [each.header.position + 1 if each is not None else 0 for each in found]
    remedy = (
        "give a base (--base FILE), or learn from what is still there (--retained); `--states` leaves models alone"
    )
    if retained:
        starts = await parts.log.earliest_offsets(OUTCOMES)
    else:
        starts = await starts_of(parts, OUTCOMES, None if base is None else behind_base, remedy)
    await _check_secret(parts, n_partitions)
    rebuilt = RebuiltModels()
    for number in range(n_partitions):
        models = {} if retained else _models_of(found[number], parts.settings.secret.encode())
        await _rebuild(parts, catalog, number, models, starts[number], rebuilt)
    return rebuilt


async def _rebuild(
    parts: Parts,
    catalog: Catalog,
    number: int,
    models: dict[str, PlacementModel],
    start: int,
    rebuilt: RebuiltModels,
) -> None:
    position = start - 1
    async for read in parts.log.read(OUTCOMES, number, start):
        position = read.offset
        rebuilt.n_outcomes += 1
        try:
            outcome = decode_outcome(read.value)
        except InvalidInput:
            rebuilt.n_dead += 1
            continue
        name = outcome.placement
        if name not in models:
            models[name] = _new_model(name, catalog)
        models[name].learn(outcome)
    store = CheckpointStore(parts.redis, parts.keys)
    old = [saved for which in ("current", "previous") if (saved := await store.load(number, which)) is not None]
    if not models and not old:
        return
    secret, epoch = parts.settings.secret.encode(), (await parts.log.identity()).epoch
    generation = await store.open(number)
    save_number = 1 + max((each.header.number for each in old), default=0)
    header = CheckpointHeader(epoch, position, generation, save_number, dict.fromkeys(sorted(models), save_number))
    blobs = {
        name: checkpoint.dump(model, {number: position + 1}, secret, generation=generation, epoch=str(epoch))
        for name, model in models.items()
    }
    # Both the current and the one before: what the old ones hold is what was to be replaced.
    if not await store.save(number, header, blobs, header, [each.header for each in old]):
        raise Refused("a learner has taken over meanwhile: stop every learner, and run this again")
    await _publish(parts, models, generation)
    rebuilt.learned |= {name: model.n_learned for name, model in models.items()}


async def _publish(parts: Parts, models: dict[str, PlacementModel], generation: int) -> None:
    publisher = ModelPublisher(parts.redis, parts.keys, parts.settings.secret.encode())
    for name, model in models.items():
        result, _ = await publisher.publish(name, model.snapshot(generation), time.time_ns() // 1_000_000)
        if result is Published.FENCED:
            raise Refused("a learner has taken over meanwhile: stop every learner, and run this again")


def _models_of(saved: StoredCheckpoint | None, secret: bytes) -> dict[str, PlacementModel]:
    blobs = saved.blobs if saved is not None else {}
    return {
        name: checkpoint.load(blob, secret, placement=name).model
        for name, blob in blobs.items()
        if blob is not None
    }


def _new_model(placement: str, catalog: Catalog) -> PlacementModel:
    spec = catalog.placements.get(placement)
    if spec is None:  # taken out of the catalog since
        return PlacementModel(placement)
    return PlacementModel(placement, model_spec(spec), spec.reward_range)


async def _current_catalog(parts: Parts) -> Catalog:
    latest = await parts.catalogs.latest()
    if latest is None:
        raise Refused("no catalog is published here: `nextbest publish FOLDER` first")
    return latest[1]


async def _check_secret(parts: Parts, n_partitions: int) -> None:
    """Models signed with the wrong secret are refused by every learner and decider: do not write such."""
    if parts.settings.secret != DEVELOPMENT_SECRET:
        return
    store = CheckpointStore(parts.redis, parts.keys)
    blobs = []
    for number in range(n_partitions):
        saved = await store.load(number)
        blobs += [blob for blob in (saved.blobs.values() if saved else ()) if blob is not None]
    for blob in blobs:
        try:
            checkpoint.load(blob, parts.settings.secret.encode())
        except Refused:
            continue
        return
    if blobs:
        raise Refused("the stored models are signed with another secret: set NEXTBEST_SECRET, or give --data-dir")
