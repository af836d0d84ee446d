"""What OpenTelemetry's SDK says in the log: why spans were not sent, and little else; nothing that is secret."""

from __future__ import annotations

import logging
from collections.abc import Sequence

logger = logging.getLogger(__name__)

_EXPORTER = "opentelemetry.exporter"
_OF_BATCHES = _EXPORTER + ".otlp.proto.http.trace"
_MOST = 20
"""Of what it says otherwise; each once."""


class SdkWords(logging.Handler):
    """Stands in for the log below ``opentelemetry``, where each batch that a collector does not take has a line.

    Attributes
    ----------
    latest
        What the exporter said last.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__(logging.WARNING)
        self._secrets = secrets
        self._said: set[str] = set()
        self.latest = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, or pass it on."""
        text = self.without_secrets(record.getMessage())
        if record.name.startswith(_EXPORTER):
            self.latest = text
        is_of_a_batch = record.name.startswith(_OF_BATCHES)
        if not is_of_a_batch and record.msg not in self._said and len(self._said) < _MOST:
            self._said.add(record.msg)
            logger.warning("opentelemetry_says", extra={"reason": text})

    def without_secrets(self, text: str) -> str:
        """The text, with "…" for whatever is secret in it."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    def listen(self) -> None:
        """Hear all that the SDK says from now on, in place of whoever did."""
        sdk = logging.getLogger("opentelemetry")
        sdk.handlers[:] = [self]
        sdk.propagate = False
