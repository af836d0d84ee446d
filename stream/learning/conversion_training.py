"""What the learner does for conversions: their books, their records, their publishing, their figures.

A conversion's records stand in ``outcomes`` under a key of their own, so that it has one writer, one position and
one checkpoint, as a placement has.
"""

from __future__ import annotations

import asyncio
import logging
import time

from prometheus_client import CollectorRegistry

from background.metrics import Counter, Gauge
from online_models.conversion import checkpoint
from online_models.conversion.book import ConversionBook
from online_models.snapshot import pack_version
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.policy_spec import ModelSpec
from personalization.errors import Refused
from personalization.events.example import Challenge, Example, conversion_of, decode_example
from personalization.events.forgotten import Forgotten
from state.conversion_store import ConversionPublisher
from state.model_store import Published
from stream.learning.training import Learned, Place
from stream.metrics import LearnerMetrics
from stream.patience import Patience

logger = logging.getLogger(__name__)

PUBLISH_MS = 5_000
"""Between two publishes of one conversion, at least: three quarters of a megabyte, unpacked by each process."""

REPORT_EVERY = 100
"""Labels between two reckonings of AUC and calibration over 5,000: 3 ms."""


CHANGING = frozenset({"learned", "judged", "challenger"})
"""Results after which another model may be served."""


class ConversionMetrics:
    """What the learner shows of its conversions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"nextbest_conversion_{name}", what, ["conversion"], registry=registry)

        self.auc = gauge("auc", "AUC of what was served to the newest 5,000 matured examples")
        self.log_loss = gauge("log_loss", "Log loss of what was served to the newest 5,000 matured examples, nats")
        self.calibration_error = gauge(
            "calibration_error", "Mean gap of served and observed rate over 15 bins of equal mass, matured examples"
        )
        self.calibration_floor = gauge(
            "calibration_floor", "What a perfectly calibrated forecast would show by sampling alone"
        )
        self.matured = gauge("matured_examples", "Examples the figures above stand on")
        self.waiting = gauge(
            "waiting_examples", "Served predictions that wait for their label (a sample beyond 20,000)"
        )
        self.trial = gauge("challenger_rows", "Examples the challenger under trial was judged on")
        self.gain = gauge("challenger_gain_nats", "Log loss the challenger under trial saves an example")
        self.challengers = Counter(
            "nextbest_conversion_challengers",
            "Challengers by what became of them: entered, promote, retire, replaced, refused",
            ["conversion", "result"],
            registry=registry,
        )

    def show(self, book: ConversionBook) -> None:
        """Bring the gauges up to date."""
        name, card = book.conversion, book.scorecard()
        if card.rows:
            self.auc.labels(name).set(card.auc.value)
            self.log_loss.labels(name).set(card.log_loss)
            self.calibration_error.labels(name).set(card.calibration.error)
            self.calibration_floor.labels(name).set(card.calibration.floor)
        self.matured.labels(name).set(card.rows)
        self.waiting.labels(name).set(book.cohort.n_waiting)
        on_trial = book.challenger is not None
        self.trial.labels(name).set(book.trial.n if on_trial else 0)
        self.gain.labels(name).set(book.trial.gain if on_trial else 0.0)


class ConversionTraining:
    """``Training`` of conversions.

    Parameters
    ----------
    publish_ms
        Between two publishes of one conversion, at least.
    """

    def __init__(
        self,
        publisher: ConversionPublisher,
        secret: bytes,
        metrics: LearnerMetrics,
        publish_ms: int = PUBLISH_MS,
    ) -> None:
        self._publisher = publisher
        self._secret = secret
        self._publish_ms = publish_ms
        self._metrics = ConversionMetrics(metrics.registry)
        self._patiently = Patience(metrics.retries, metrics.waiting)
        self._published_s: dict[str, float] = {}
        self._shown: dict[str, int] = {}

    def knows(self, key: str, catalog: CompiledCatalog) -> bool:
        """Whether the catalog has the conversion."""
        return _name(key) in catalog.conversions

    def new(self, key: str, catalog: CompiledCatalog) -> ConversionBook:
        """An empty book with the model the catalog names."""
        conversion = _name(key)
        compiled = catalog.conversions.get(conversion)
        if compiled is None:  # taken out of the catalog while its last examples were open
            return ConversionBook(conversion)
        return ConversionBook(conversion, ModelSpec(compiled.spec.model, compiled.spec.model_parameters))

    def load(self, key: str, blob: bytes) -> ConversionBook:
        """A book from its checkpoint; raises ``Refused``."""
        return checkpoint.load(blob, self._secret, conversion=_name(key)).model

    def is_signed_before(self, blob: bytes) -> bool:
        """Whether a checkpoint that was loaded was signed under a secret before."""
        return checkpoint.ENVELOPE.is_signed_before(blob, self._secret)

    async def dump(self, book: ConversionBook, place: Place) -> bytes:
        """A book's checkpoint; the caller's lock keeps it as it is."""
        return await asyncio.to_thread(checkpoint.dump, book, {place.partition: place.offset}, self._secret)

    async def learn(self, book: ConversionBook, value: bytes) -> Learned:
        """Take one record of the log into its book; raises ``InvalidInput`` for what is none."""
        record = decode_example(value)
        if isinstance(record, Challenge):
            result = await self._enter(book, record)
        elif isinstance(record, Forgotten):
            return Learned("forgotten", book.forget(record.units))
        else:
            before = dict(book.verdicts)
            result = book.learn(record)
            if book.verdicts != before:
                self._tell(book, before)
            if book.n_learned // REPORT_EVERY != self._shown.get(book.conversion):
                self.show(book)
        return Learned(result, result in CHANGING)

    def relearn(self, book: ConversionBook, value: bytes) -> None:
        """Take an old record into a new book; a challenger met its champion once and does so no more."""
        record = decode_example(value)
        if isinstance(record, Example):
            book.learn(record)
        elif isinstance(record, Forgotten):
            book.forget(record.units)

    def show(self, book: ConversionBook) -> None:
        """Bring a book's figures up to date."""
        self._shown[book.conversion] = book.n_learned // REPORT_EVERY
        self._metrics.show(book)

    def due(self, key: str) -> bool:
        """Whether the last publish is long enough ago."""
        last_s = self._published_s.get(_name(key))
        return last_s is None or (time.monotonic() - last_s) * 1000 >= self._publish_ms

    async def publish(self, book: ConversionBook, generation: int, at_ms: int) -> tuple[Published, int]:
        """Publish the model that serves; how it went, and its bytes."""
        version = pack_version(generation, book.n_learned)
        # Off the loop, so that heartbeats go on; the caller's lock keeps learning away from the model meanwhile.
        model = await asyncio.to_thread(
            checkpoint.dump_served, book.champion, book.conversion, version, self._secret
        )
        result = await self._publisher.publish(book.conversion, version, model, at_ms)
        self._published_s[book.conversion] = time.monotonic()
        self.show(book)
        return result, len(model)

    def warnings(self, book: ConversionBook) -> list[str]:
        """None: figures tell."""
        return []

    def let_go(self, key: str) -> None:
        """Nothing is done: figures stay as they were."""

    def forget(self, key: str) -> None:
        """The conversion was taken over: publish it at once."""
        self._published_s.pop(_name(key), None)
        self._shown.pop(_name(key), None)

    async def _enter(self, book: ConversionBook, record: Challenge) -> str:
        before = dict(book.verdicts)
        try:
            data = await self._patiently("challenger", self._publisher.challenger, record.challenger_id)
            if data is None:
                raise Refused("the challenger is gone: retrain again")
            if checkpoint.digest(data) != record.digest:
                raise Refused("the challenger is not the one that was entered: retrain again")
            contender = checkpoint.load_challenger(data, self._secret, conversion=book.conversion)
        except Refused as error:
            self._metrics.challengers.labels(book.conversion, "refused").inc()
            logger.error("challenger_refused", extra={"conversion": book.conversion, "reason": str(error)})
            return "challenger_refused"
        if not book.challenge(contender, record.challenger_id):
            return "duplicate"
        self._tell(book, before)
        return "challenger"

    def _tell(self, book: ConversionBook, before: dict[str, int]) -> None:
        for result, n in book.verdicts.items():
            if n != before.get(result, 0):
                self._metrics.challengers.labels(book.conversion, result).inc(n - before.get(result, 0))
                logger.info(
                    "challenger",
                    extra={
                        "conversion": book.conversion,
                        "challenger": book.challenger_id,
                        "result": result,
                        "rows": book.trial.n,
                        "gain_nats": round(book.trial.gain, 5),
                    },
                )
        self.show(book)


def _name(key: str) -> str:
    """The conversion whose records stand under ``key``."""
    return conversion_of(key) or key
