"""What is wrong with the settings of the way to Redis and to Kafka: files, passwords, and what fits together.

It is said before anything is connected. A file that cannot be used looks, to a client library, like a server that
is away, and would be waited for.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from background.redis_url import SCHEME_OF_TLS
from background.tls import TlsFiles
from personalization.errors import InvalidInput

if TYPE_CHECKING:
    from config.settings import Settings

REDIS, KAFKA = "NEXTBEST_REDIS", "NEXTBEST_KAFKA"

SECURITIES = ("PLAINTEXT", "SSL", "SASL_SSL")
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")

_FILES = (("ca", "CA_FILE"), ("certificate", "CERTIFICATE_FILE"), ("key", "KEY_FILE"))


def redis_tls(settings: Settings) -> TlsFiles:
    """The files of a connection to Redis."""
    return _tls_files(
        settings.redis_ca_file,
        settings.redis_certificate_file,
        settings.redis_key_file,
        settings.redis_server_name,
    )


def kafka_tls(settings: Settings) -> TlsFiles:
    """The files of a connection to Kafka."""
    return _tls_files(
        settings.kafka_ca_file,
        settings.kafka_certificate_file,
        settings.kafka_key_file,
        settings.kafka_server_name,
    )


def _tls_files(ca: str, certificate: str, key: str, server_name: str) -> TlsFiles:
    """The files, found from wherever a process runs that is told of them."""
    return TlsFiles(ca, certificate, key, server_name).absolute()


def redis_problems(url: str, given_password: str, tls: TlsFiles) -> Iterator[InvalidInput]:
    """What is wrong with the way to Redis, whose ``url`` itself is well."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    inside = parts.password or query.get("password")
    if given_password and inside and given_password != query.get("password"):
        yield InvalidInput(
            f"{REDIS}_PASSWORD", f"is set, and {REDIS} holds a password too: which of them is meant? Leave one out"
        )
    if url.startswith(SCHEME_OF_TLS):
        yield from _file_problems(tls, REDIS)
        if tls != TlsFiles() and any(name.startswith("ssl_") for name in query):
            yield InvalidInput(
                REDIS, f"holds parameters that begin with ssl_, and {REDIS}_…_FILE say the same; leave one out"
            )
    else:
        yield from _without_tls(tls, REDIS, "the URL begins with rediss://")


def kafka_problems(
    security: str, tls: TlsFiles, mechanism: str, user: str, password: str
) -> Iterator[InvalidInput]:
    """What is wrong with the way to Kafka."""
    if security not in SECURITIES:
        yield InvalidInput(f"{KAFKA}_SECURITY", f"must be one of {', '.join(SECURITIES)}, not {security!r}")
        return
    if security == "PLAINTEXT":
        yield from _without_tls(tls, KAFKA, f"{KAFKA}_SECURITY is SSL or SASL_SSL")
    else:
        yield from _file_problems(tls, KAFKA)
    if security == "SASL_SSL":
        if mechanism not in MECHANISMS:
            yield InvalidInput(f"{KAFKA}_MECHANISM", f"must be one of {', '.join(MECHANISMS)}")
        if not user:
            yield InvalidInput(f"{KAFKA}_USER", "must name the user, as NEXTBEST_KAFKA_SECURITY is SASL_SSL")
        if not password:
            yield InvalidInput(
                f"{KAFKA}_PASSWORD", f"must be set, or {KAFKA}_PASSWORD_FILE, as {KAFKA}_SECURITY is SASL_SSL"
            )
    elif user or password:
        name = f"{KAFKA}_USER" if user else f"{KAFKA}_PASSWORD"
        yield InvalidInput(name, f"is of use only where {KAFKA}_SECURITY is SASL_SSL; set that, or leave this out")


def _without_tls(tls: TlsFiles, prefix: str, when: str) -> Iterator[InvalidInput]:
    given = [(name, getattr(tls, attribute)) for attribute, name in (*_FILES, ("server_name", "SERVER_NAME"))]
    for name, value in given:
        if value:
            yield InvalidInput(f"{prefix}_{name}", f"is of use only where {when}; set that, or leave this out")


def _file_problems(tls: TlsFiles, prefix: str) -> Iterator[InvalidInput]:
    readable = True
    for attribute, name in _FILES:
        path = getattr(tls, attribute)
        if path and (reason := _unreadable(path)):
            readable = False
            yield InvalidInput(f"{prefix}_{name}", f"{path} cannot be read: {reason}")
    if tls.key and not tls.certificate:
        readable = False
        yield InvalidInput(f"{prefix}_KEY_FILE", f"is set without {prefix}_CERTIFICATE_FILE; set both, or neither")
    if readable:
        yield from _content_problems(tls, prefix)


def _content_problems(tls: TlsFiles, prefix: str) -> Iterator[InvalidInput]:
    try:
        TlsFiles(ca=tls.ca).context()
    except (ssl.SSLError, ValueError):
        yield InvalidInput(f"{prefix}_CA_FILE", f"{tls.ca} holds no certificates in PEM (BEGIN CERTIFICATE)")
    try:
        TlsFiles(certificate=tls.certificate, key=tls.key).context()
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"{tls.key or tls.certificate} is not the key of {tls.certificate}"
        else:
            message = (
                f"{tls.certificate} and {tls.key or 'itself'} are not a certificate and its key in PEM, or the key "
                f"is encrypted, which nobody could open here ({error.reason or error})"
            )
        yield InvalidInput(f"{prefix}_CERTIFICATE_FILE", message)


def _unreadable(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""
