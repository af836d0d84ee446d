"""A conversion model learned anew from what is retained, entered as a challenger.

It does not serve: from where it enters the log on, the learner judges it beside the model in force, on every
example before either learns it, and promotes it if it wins.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import Settings
from eventlog.partition import partition_of
from eventlog.port import EventLog, Record
from eventlog.topics import OUTCOMES
from installation.audit import recorded
from installation.opened import Installation, open_installation
from installation.secrets_of import installed_secrets
from online_models.conversion import checkpoint
from online_models.conversion.contender import Contender
from online_models.conversion.metrics import Scorecard, scorecard
from operations.history import read_history
from operations.tables.reading import AS_FOUND, Reading
from personalization.catalog.catalog import Conversion
from personalization.catalog.policy_spec import ModelSpec
from personalization.errors import InvalidInput, Refused
from personalization.events.example import Challenge, Example, Stage, decode_example, encode_example, example_key
from personalization.events.forgotten import Forgotten
from state.catalog_store import CatalogStore
from state.conversion_store import ConversionPublisher, keep_challenger

MIN_EXAMPLES = 100
"""A model that has seen fewer knows next to nothing, and would only be retired."""

KEEP_AGES = 2
"""A challenger is kept for twice as long as the log keeps the record that enters it."""


@dataclass(slots=True)
class Retrained:
    """A challenger, and how well it would have predicted what it learned."""

    contender: Contender
    served: list[float] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    """What was found in the file of history and may surprise."""

    def learn(self, features: dict[str, float | str], label: bool, unit: bytes = b"") -> None:
        """Predict one matured example, then learn it."""
        self.served.append(self.contender.predict(features))
        self.labels.append(float(label))
        self.contender.mature(features, label, unit)

    def scorecard(self) -> Scorecard:
        """Progressive: each prediction from before its label."""
        return scorecard(self.labels, self.served)


async def retrain(
    settings: Settings,
    conversion: str,
    model: str | None,
    history: Path | None,
    label: str | None,
    said: Reading = AS_FOUND,
) -> tuple[str, Retrained]:
    """Learn a challenger from a file of history and then from the log, and enter it; gives its id and itself.

    Parameters
    ----------
    model
        Another model than the catalog names.
    history, label
        A CSV file to learn from first, in time order, and its column that says who converted; both or neither.
    said
        How the file is to be read.

    Raises
    ------
    Refused
        If too few examples have matured, or the secret is not the installation's.
    InvalidInput
        If the catalog has no such conversion.
    """
    async with open_installation(settings) as opened:
        spec = await _spec(opened.catalogs, conversion)
        secret = installed_secrets(settings).key("models")
        await _check_secret(opened, conversion, secret)
        wanted = ModelSpec(model) if model else ModelSpec(spec.model, spec.model_parameters)
        retrained = Retrained(Contender(wanted))
        if history is not None and label is not None:
            rows = read_history(history, label, said=said)
            retrained.notes = rows.notes
            for x, y in zip(rows.rows, rows.labels.tolist(), strict=True):
                retrained.learn(x, y > 0.5)
        async for record in matured(opened.log, conversion):
            if isinstance(record, Forgotten):
                retrained.contender.forget(record.units)
            else:
                retrained.learn(record.features, record.label, record.unit)
        n = len(retrained.labels)
        if n < MIN_EXAMPLES:
            raise Refused(
                f"{n} examples of {conversion!r} have matured in what is retained; at least {MIN_EXAMPLES} are "
                "needed (an example matures a horizon after its session's start)"
            )
        async with recorded(settings, opened.redis, "retrain", f"conversion:{conversion}"):
            return await _enter(opened, secret, conversion, retrained), retrained


async def _spec(store: CatalogStore, conversion: str) -> Conversion:
    latest = await store.latest()
    if latest is None:
        raise Refused("no catalog is published here; run `nextbest publish`")
    conversions = latest[1].conversions
    if conversion not in conversions:
        known = ", ".join(sorted(conversions)) or "none"
        raise InvalidInput("conversion", f"the catalog has no {conversion!r}; there are: {known}", "unknown_name")
    return conversions[conversion]


async def _check_secret(opened: Installation, conversion: str, secret: bytes) -> None:
    """Refuse now what the learner would refuse later."""
    model = await ConversionPublisher(opened.redis, opened.keys, opened.cipher).published(conversion)
    if model is None:
        return
    try:
        checkpoint.load_served(model, secret, conversion=conversion)
    except Refused as error:
        raise Refused(
            f"the model in force cannot be read ({error}); set NEXTBEST_SECRET to the installation's secret, or "
            "NEXTBEST_DATA_DIR to the folder of `nextbest up`"
        ) from error


async def matured(log: EventLog, conversion: str) -> AsyncIterator[Example | Forgotten]:
    """The conversion's examples whose horizon has closed, each once, and who was erased, as the log has them."""
    key = example_key(conversion)
    partition = partition_of(key, (await log.identity()).n_partitions)
    earliest = (await log.earliest_offsets(OUTCOMES))[partition]
    seen: set[str] = set()
    async for entry in log.read(OUTCOMES, partition, earliest):
        if entry.key != key:
            continue
        try:
            record = decode_example(entry.value)
        except InvalidInput:
            continue
        if isinstance(record, Forgotten):
            yield record
        elif isinstance(record, Example) and record.stage is Stage.CLOSED and record.example_id not in seen:
            seen.add(record.example_id)
            yield record


async def _enter(opened: Installation, secret: bytes, conversion: str, retrained: Retrained) -> str:
    """Keep the challenger, then say so in the log; gives its id."""
    data = checkpoint.dump_challenger(retrained.contender, conversion, secret)
    now_ms = time.time_ns() // 1_000_000
    challenger_id = f"{conversion}-{now_ms:x}"
    keep_ms = KEEP_AGES * max(opened.settings.log_age_ms, 1)
    await keep_challenger(opened.redis, opened.keys, challenger_id, data, keep_ms, opened.cipher)
    record = Challenge(challenger_id, conversion, checkpoint.digest(data), now_ms)
    await opened.log.append([Record(OUTCOMES, example_key(conversion), encode_example(record))])
    return challenger_id
