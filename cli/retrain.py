"""``nextbest retrain``: a conversion model learned anew from what is retained, entered as a challenger.

It does not serve: from where it enters the log on, the learner judges it beside the model in force, on every
example before either learns it, and promotes it if it wins.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.history import read_history
from config.settings import Settings, shown_url
from eventlog.opening import open_log
from eventlog.partition import partition_of
from eventlog.port import EventLog, Record
from eventlog.topics import OUTCOMES, Topics
from online_models.conversion import checkpoint
from online_models.conversion.contender import Contender
from online_models.conversion.metrics import Scorecard, scorecard
from personalization.catalog.catalog import Conversion
from personalization.catalog.policy_spec import ModelSpec
from personalization.errors import InvalidInput, Refused, Unavailable
from personalization.events.example import Challenge, Example, Stage, decode_example, encode_example, example_key
from state.catalog_store import CatalogStore
from state.conversion_store import keep_challenger
from state.keys import Keys

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

    def learn(self, features: dict[str, float | str], label: bool, unit: bytes = b"") -> None:
        """Predict one matured example, then learn it."""
        self.served.append(self.contender.predict(features))
        self.labels.append(float(label))
        self.contender.mature(features, label, unit)

    def scorecard(self) -> Scorecard:
        """Progressive: each prediction from before its label."""
        return scorecard(self.labels, self.served)


@click.command(short_help="Learn a conversion anew from history, and enter it as a challenger.")
@click.argument("conversion")
@click.option("--model", default=None, metavar="NAME", help="Another model than the catalog names.")
@click.option(
    "--history",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE.csv[.gz]",
    help="Learn from this file first, in time order, features named as in the catalog; then from the log.",
)
@click.option("--label", default=None, metavar="COLUMN", help="Column of the file that says who converted: 1 or 0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def retrain(conversion: str, model: str | None, history: Path | None, label: str | None, as_json: bool) -> None:
    """Learn CONVERSION anew from the examples the log retains, and let it compete with the model in force.

    It serves once it has won on what comes after, and is retired if it has not within 50,000 examples; the
    learner's /metrics tell (nextbest_conversion_challengers), and its log.
    """
    if (history is None) != (label is None):
        raise click.UsageError("--history and --label go together")
    settings = Settings.from_environment()
    challenger_id, retrained = asyncio.run(_run(settings, conversion, model, history, label))
    card = retrained.scorecard()
    if as_json:
        told = {
            "challenger": challenger_id,
            "model": retrained.contender.spec.name,
            "examples": card.rows,
            "auc": card.auc.value,
            "log_loss": card.log_loss,
            "calibration_error": card.calibration.error,
        }
        click.echo(orjson.dumps(told).decode())  # what is not a number is null
        return
    click.echo(
        f"Learned {card.rows:,} examples, each predicted before: AUC {card.auc.value:.3f}, log loss "
        f"{card.log_loss:.4f}, calibration error {card.calibration.error:.4f}."
    )
    click.echo(f"Entered as challenger {challenger_id}: it serves once it has won on what comes after.")


async def _run(
    settings: Settings, conversion: str, model: str | None, history: Path | None, label: str | None
) -> tuple[str, Retrained]:
    url = f"kafka://{settings.kafka}" if settings.kafka else settings.redis
    topics = Topics.bounded(f"{settings.namespace}.", settings.log_bytes, settings.log_age_ms)
    log = open_log(url, topics)
    async with Redis.from_url(settings.redis) as redis:
        try:
            await log.start()
            spec = await _spec(CatalogStore(redis, settings.namespace), conversion)
            secret = _secret(settings)
            await _check_secret(redis, Keys(settings.namespace), conversion, secret)
            wanted = ModelSpec(model) if model else ModelSpec(spec.model, spec.model_parameters)
            retrained = Retrained(Contender(wanted))
            if history is not None and label is not None:
                rows = read_history(history, label)
                for x, y in zip(rows.rows, rows.labels.tolist(), strict=True):
                    retrained.learn(x, y > 0.5)
            async for example in matured(log, conversion):
                retrained.learn(example.features, example.label, example.unit)
            n = len(retrained.labels)
            if n < MIN_EXAMPLES:
                raise Refused(
                    f"{n} examples of {conversion!r} have matured in what is retained; at least {MIN_EXAMPLES} are "
                    "needed (an example matures a horizon after its session's start)"
                )
            return await _enter(settings, secret, redis, log, conversion, retrained), retrained
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis at {shown_url(settings.redis)} does not answer: {error}") from error
        finally:
            await log.close()


async def _spec(store: CatalogStore, conversion: str) -> Conversion:
    latest = await store.latest()
    if latest is None:
        raise Refused("no catalog is published here; run `nextbest publish`")
    conversions = latest[1].conversions
    if conversion not in conversions:
        known = ", ".join(sorted(conversions)) or "none"
        raise InvalidInput("conversion", f"the catalog has no {conversion!r}; there are: {known}", "unknown_name")
    return conversions[conversion]


def _secret(settings: Settings) -> bytes:
    """The installation's secret: as set, else that of ``nextbest up`` in the data folder."""
    kept = Path(settings.data_dir) / "secret"
    if "NEXTBEST_SECRET" not in os.environ and kept.is_file():
        return kept.read_text(encoding="utf-8").strip().encode()
    return settings.secret.encode()


async def _check_secret(redis: Redis, keys: Keys, conversion: str, secret: bytes) -> None:
    """Refuse now what the learner would refuse later."""
    model = await cast("Any", redis.hget(keys.conversion(conversion), "model"))
    if model is None:
        return
    try:
        checkpoint.load_served(model, secret, conversion=conversion)
    except Refused as error:
        raise Refused(
            f"the model in force cannot be read ({error}); set NEXTBEST_SECRET to the installation's secret, or "
            "NEXTBEST_DATA_DIR to the folder of `nextbest up`"
        ) from error


async def matured(log: EventLog, conversion: str) -> AsyncIterator[Example]:
    """The conversion's examples whose horizon has closed, each once, in the order of the log."""
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
        if isinstance(record, Example) and record.stage is Stage.CLOSED and record.example_id not in seen:
            seen.add(record.example_id)
            yield record


async def _enter(
    settings: Settings, secret: bytes, redis: Redis, log: EventLog, conversion: str, retrained: Retrained
) -> str:
    """Keep the challenger, then say so in the log; gives its id."""
    data = checkpoint.dump_challenger(retrained.contender, conversion, secret)
    now_ms = time.time_ns() // 1_000_000
    challenger_id = f"{conversion}-{now_ms:x}"
    keep_ms = KEEP_AGES * max(settings.log_age_ms, 1)
    await keep_challenger(redis, Keys(settings.namespace), challenger_id, data, keep_ms)
    record = Challenge(challenger_id, conversion, checkpoint.digest(data), now_ms)
    await log.append([Record(OUTCOMES, example_key(conversion), encode_example(record))])
    return challenger_id
