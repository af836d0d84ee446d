"""A URL of Redis that says all there is to know of the server: also its password and the files of TLS.

It goes through the code as one word, so that no client of Redis can be opened without them. redis-py knows
``password``; what begins with ``tls_`` is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from background.tls import TlsFiles

PREFIX = "tls_"

SCHEME_OF_TLS = "rediss://"


def complete_url(url: str, password: str = "", tls: TlsFiles | None = None) -> str:
    """``url`` with ``password`` and the files of ``tls`` in it, as far as they are given.

    >>> complete_url("rediss://cache:6379/0?db=1", "hunter2", TlsFiles(ca="/etc/ca.pem"))
    'rediss://cache:6379/0?db=1&password=hunter2&tls_ca=%2Fetc%2Fca.pem'
    """
    more = {"password": password, **_named(tls or TlsFiles())}
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if not more.get(name)]
    given = [(name, value) for name, value in more.items() if value]
    return url if not given else urlunsplit(parts._replace(query=urlencode([*kept, *given])))


def apart(url: str) -> tuple[str, TlsFiles | None]:
    """``url`` as redis-py takes it, and the files of TLS that stand in it; None if there are none.

    >>> apart("rediss://cache:6379/0?db=1&tls_ca=%2Fetc%2Fca.pem")
    ('rediss://cache:6379/0?db=1', TlsFiles(ca='/etc/ca.pem', certificate='', key='', server_name=''))
    >>> apart("redis://:p%2Fw@cache/0")
    ('redis://:p%2Fw@cache/0', None)
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    ours = {name.removeprefix(PREFIX): value for name, value in query if name.startswith(PREFIX)}
    if not ours:
        return url, None
    rest = urlencode([(name, value) for name, value in query if not name.startswith(PREFIX)])
    known = {row.name for row in fields(TlsFiles)}
    files = TlsFiles(**{name: value for name, value in ours.items() if name in known})
    return urlunsplit(parts._replace(query=rest)), files


def _named(tls: TlsFiles) -> Mapping[str, str]:
    return {PREFIX + row.name: getattr(tls, row.name) for row in fields(TlsFiles)}
