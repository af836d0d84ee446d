"""How brokers are spoken to: one object that every client of Kafka is opened with."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from background.tls import TlsFiles, causes, speaks_tls, tls_problem

SETTINGS = "NEXTBEST_KAFKA"


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """What clients are told beside the addresses.

    Parameters
    ----------
    protocol
        ``PLAINTEXT``, ``SSL`` or ``SASL_SSL``.
    tls
        The files of the latter two.
    mechanism, user, password
        Of ``SASL_SSL``.
    """

    protocol: str = "PLAINTEXT"
    tls: TlsFiles = field(default_factory=TlsFiles)
    mechanism: str = ""
    user: str = ""
    password: str = field(default="", repr=False)

    def context(self) -> ssl.SSLContext | None:
        """The context of a connection; None without TLS."""
        return None if self.protocol == "PLAINTEXT" else self.tls.context()

    def options(self) -> dict[str, Any]:
        """What aiokafka's clients, admin clients and connections all take."""
        if self.protocol == "PLAINTEXT":
            return {}
        options: dict[str, Any] = {"security_protocol": self.protocol, "ssl_context": self.context()}
        if self.protocol == "SASL_SSL":
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return options


PLAINTEXT = KafkaSecurity()


async def why_shut_out(servers: str, security: KafkaSecurity, timeout_s: float) -> str | None:
    """Why none of ``servers`` lets us in, if it is for certificates, the password or no TLS; else None.

    Clients of aiokafka keep it to themselves: what they raise is the same as of a broker that is away.
    """
    found = None
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            problem = await _why_one_shuts_out(host.strip("[]"), int(port), security, timeout_s)
        except ValueError:  # no port
            return None
        if problem == "":
            return None
        if problem is not None and found is None:
            found = f"Kafka at {server.strip()} cannot be used: {problem}"
    return found


async def _why_one_shuts_out(host: str, port: int, security: KafkaSecurity, timeout_s: float) -> str | None:
    """Empty if this one lets us in; None if it is away."""
    try:
        await _connect(host, port, security, timeout_s)
    except (KafkaError, OSError, TimeoutError) as error:
        problem = _problem(error, security)
        if problem is not None:
            return problem
    else:
        return ""
    if security.protocol == "PLAINTEXT":
        if await speaks_tls(host, port, timeout_s):
            return f"it speaks TLS on that port: set {SETTINGS}_SECURITY to SSL or SASL_SSL"
        return None
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await _connect(host, port, PLAINTEXT, timeout_s)
        return f"it does not speak TLS on that port: look at {SETTINGS} and {SETTINGS}_SECURITY"
    return None


async def _connect(host: str, port: int, security: KafkaSecurity, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        connection = await create_conn(host, port, request_timeout_ms=int(timeout_s * 1000), **security.options())
    with contextlib.suppress(Exception):
        connection.close()


def _problem(error: BaseException, security: KafkaSecurity) -> str | None:
    for each in causes(error):
        if isinstance(each, SaslAuthenticationFailed | AuthenticationFailedError):
            return (
                f"it refuses user {security.user} or the password: look at {SETTINGS}_USER and "
                f"{SETTINGS}_PASSWORD_FILE, and at {SETTINGS}_MECHANISM, under which it may not know that user"
            )
        if isinstance(each, UnsupportedSaslMechanismError):
            return f"it does not take {security.mechanism}: look at {SETTINGS}_MECHANISM"
    return tls_problem(error, SETTINGS)
