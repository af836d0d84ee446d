"""How the settings say that brokers are spoken to."""

from __future__ import annotations

from config.server_settings import kafka_tls
from config.settings import Settings
from eventlog.kafka_security import KafkaSecurity


def kafka_security(settings: Settings) -> KafkaSecurity:
    """What every client of Kafka is opened with."""
    return KafkaSecurity(
        protocol=settings.kafka_security,
        tls=kafka_tls(settings),
        mechanism=settings.kafka_mechanism,
        user=settings.kafka_user,
        password=settings.kafka_password,
    )
