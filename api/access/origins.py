"""Which pages may use a key: those of the source's origins, as browsers tell them (Fetch, CORS).

A header proves nothing of a program that is no browser. What it ends is the use of somebody's write key in
somebody else's page, by browsers of people who visit it.
"""

from __future__ import annotations

from collections.abc import Iterable

from api.access.key_ring import Access
from api.errors import forbidden_origin

HeaderLine = tuple[bytes, bytes]

ANY: tuple[HeaderLine, ...] = ((b"access-control-allow-origin", b"*"),)
"""What is refused, and what a source without origins is answered, pages of any origin may read."""

NONE: tuple[HeaderLine, ...] = ()
"""What a key is answered that no page may hold, no page may read: it is no page's to have."""

_VARY = (b"vary", b"origin")


def readable_by(access: Access, headers: Iterable[HeaderLine]) -> tuple[HeaderLine, ...]:
    """The headers by which browsers let a page read what its key is answered.

    Raises
    ------
    ApiError
        403 for a page of another origin than the source's.
    """
    if not access.is_page:
        return NONE
    if not access.origins:
        return ANY
    for name, value in headers:
        if name == b"origin":
            if value not in access.origins:
                raise forbidden_origin(access.source, value.decode("latin-1"))
            return ((b"access-control-allow-origin", value), _VARY)
    return (_VARY,)
