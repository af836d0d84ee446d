"""What the inner port of a process answers browsers: whoever looks themselves, and no page.

A page that somebody has open in a browser reaches whatever that machine reaches. It may read what is answered with
leave (CORS), which the inner port never gives, or what is answered under the page's own name: its owner lets that
name lead here (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import NamedTuple


class Unasked(NamedTuple):
    """Why a browser is not answered, and with which status."""

    status: int
    code: str
    words: str


_BY_A_PAGE = Unasked(
    403, "no_pages", "the inner port is answered to no page; ask by a program, or open the address"
)
_BY_A_NAME = Unasked(
    421,
    "no_pages",
    "the inner port is answered to a browser by its IP address, localhost or a name without dots alone, for any "
    "other may be a page's own; open one of these",
)


def refused_to_browsers(header: Callable[[str], str | None]) -> Unasked | None:
    """Why a request is refused; None: it is not.

    Scrapers and probes send none of these headers, and may ask by any name. Browsers send ``Accept-Language`` with
    everything, ``Origin`` and ``Sec-Fetch-Mode`` only where the page or the address is of some kinds.

    Parameters
    ----------
    header
        Gives the value of a header by its lower-case name.

    >>> refused_to_browsers({"host": "api.shop.example:8701", "user-agent": "Prometheus/3.0"}.get) is None
    True
    >>> refused_to_browsers({"host": "api.shop.example:8701", "accept-language": "en"}.get).status
    421
    """
    if header("origin") is not None or header("sec-fetch-mode") not in (None, "navigate"):
        return _BY_A_PAGE
    if header("accept-language") is not None and not _is_nobodys(header("host") or ""):
        return _BY_A_NAME
    return None


def _is_nobodys(host: str) -> bool:
    """Whether a ``Host`` is an address, or a name that nobody outside can let lead here."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    name = name.removesuffix(".").lower()
    if "." not in name or name.endswith(".localhost"):
        return ":" not in name or _is_address(name)
    return _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
