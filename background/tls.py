"""TLS towards a server: whom we trust, what we show of ourselves, and what a failure of it means."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


class _NamedContext(ssl.SSLContext):
    """Looks for ``name`` in the server's certificate, whatever the address was: no client library asks for one."""

    name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: Any = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.name or server_hostname, session)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of a connection.

    Parameters
    ----------
    ca
        Whom to trust, and nobody else; empty: whom this machine trusts.
    certificate, key
        What we show of ourselves; empty: nothing.
    server_name
        The name the server's certificate must be for; empty: the address that is connected to.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""

    def context(self) -> ssl.SSLContext:
        """What a client connects with: certificate and name of the server are always checked.

        Raises
        ------
        OSError
            Where a file cannot be read; ``ssl.SSLError``, which is one, where it holds something else.
        """
        context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.name = self.server_name
        if self.ca:
            context.load_verify_locations(self.ca)
        else:
            context.load_default_certs()
        if self.certificate or self.key:
            context.load_cert_chain(self.certificate, self.key or None, password=lambda: "")
        return context

    def absolute(self) -> TlsFiles:
        """The same files, wherever the process that is told of them runs."""
        ca, certificate, key = [str(Path(path).absolute()) if path else "" for path in self._paths()]
        return replace(self, ca=ca, certificate=certificate, key=key)

    def _paths(self) -> tuple[str, str, str]:
        return self.ca, self.certificate, self.key


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came of, however libraries have wrapped it."""
    seen = 0
    while error is not None and seen < 20:
        yield error
        error = error.__cause__ or error.__context__
        seen += 1


_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
_UNKNOWN_SIGNER = frozenset({2, 18, 19, 20, 21, 24, 27})
"""OpenSSL's X509_V_ERR_…: the issuer is missing, signed by itself, no CA, or not trusted."""

_OF_OURS = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")
"""Words in the alerts a server sends that does not take our certificate, or wants one."""


def tls_problem(error: BaseException, settings: str) -> str | None:
    """What is wrong with the certificates, and which setting to look at; None where they are not what failed.

    No restart and no waiting mends it: a person must act.

    Parameters
    ----------
    settings
        What their names begin with, e.g. ``NEXTBEST_REDIS``.
    """
    for each in causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return _of_theirs(each, settings)
        if isinstance(each, ssl.SSLError) and each.reason:
            if "ALERT" in each.reason and any(word in each.reason for word in _OF_OURS):
                return (
                    f"it does not take the certificate we show, or wants one and gets none ({each.reason}): "
                    f"look at {settings}_CERTIFICATE_FILE and {settings}_KEY_FILE"
                )
            if each.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
                return f"it does not speak TLS on that port ({each.reason}): look at {settings}"
    return None


def _of_theirs(error: ssl.SSLCertVerificationError, settings: str) -> str:
    code, words = error.verify_code, error.verify_message
    if code == _EXPIRED:
        return f"its certificate has expired: put a new one on that server ({words})"
    if code == _NOT_YET:
        return f"its certificate is not valid yet: look at the clock of this machine ({words})"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return (
            f"its certificate is for another name: connect to the name it is for, or say that name in "
            f"{settings}_SERVER_NAME ({words})"
        )
    if code in _UNKNOWN_SIGNER:
        return (
            f"its certificate is signed by nobody we trust: give the CA that signed it in {settings}_CA_FILE "
            f"({words})"
        )
    return (
        f"its certificate cannot be trusted: look at {settings}_CA_FILE, and at that server's certificate ({words})"
    )


async def speaks_tls(host: str, port: int, timeout_s: float) -> bool:
    """Whether TLS is spoken at an address, be it trusted or not. Nothing is sent but the greeting."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=anybody)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it wants a certificate of ours
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(timeout_s):
            await writer.wait_closed()
    return True
