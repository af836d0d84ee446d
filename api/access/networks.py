"""Addresses, and the networks they lie in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
PREFIX_OF = {4: 24, 6: 48}
"""What one household, office or carrier's gateway is likely to share, and no person is told by; by version."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(host: str) -> Address | None:
    """The address that a host is; None where it is none. IPv4 within IPv6 is IPv4.

    >>> address_of("::ffff:10.0.0.1"), address_of("unix:")
    (IPv4Address('10.0.0.1'), None)
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def network_around(host: str) -> str:
    """The network that a host lies in, as far as it is one household's or office's (/24, /48); empty: it has none.

    >>> network_around("192.0.2.77"), network_around("2001:db8:1:2::3"), network_around("unix:")
    ('192.0.2.0/24', '2001:db8:1::/48', '')
    """
    address = address_of(host)
    if address is None:
        return ""
    kind = ipaddress.IPv4Network if address.version == 4 else ipaddress.IPv6Network
    return str(kind((int(address), PREFIX_OF[address.version]), strict=False))


_OWN = {
    4: [ipaddress.ip_network(each) for each in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                                                "169.254.0.0/16")],
    6: [ipaddress.ip_network(each) for each in ("::1/128", "fc00::/7", "fe80::/10")],
}  # fmt: skip
"""Loopback, private (RFC 1918, RFC 4193) and link-local networks, by version."""


def is_own(address: Address) -> bool:
    """Whether an address is this machine's or of its own networks: behind it stands a proxy or a colleague."""
    return any(address in network for network in _OWN[address.version])


def lies_in(host: str, networks: Iterable[Network]) -> bool:
    """Whether a host is an address in one of ``networks``.

    >>> networks = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "::1")]
    >>> [lies_in(host, networks) for host in ("10.1.2.3", "::ffff:10.1.2.3", "::1", "192.0.2.1", "")]
    [True, True, True, False, False]
    """
    address = address_of(host)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=4096)
def spoken_for(peer: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """The address that a request comes from, if its connection may be a proxy's.

    Each proxy adds to ``X-Forwarded-For`` whom it was called by. So the last address that no trusted proxy has
    is the first that one of them vouches for; what stands before it is anybody's word.

    >>> proxies = (ipaddress.ip_network("10.0.0.0/8"),)
    >>> spoken_for("10.0.0.1", "192.0.2.66, 198.51.100.7, 10.0.0.2", proxies)
    '198.51.100.7'
    >>> spoken_for("203.0.113.9", "198.51.100.7", proxies), spoken_for("10.0.0.1", "", proxies)
    ('203.0.113.9', '10.0.0.1')
    """
    if not lies_in(peer, proxies):
        return peer
    for each in reversed(forwarded.split(",")):
        host = _without_port(each.strip())
        if address_of(host) is None:
            return peer  # nobody vouches for what stands before it
        if not lies_in(host, proxies):
            return host
    return peer


def _without_port(host: str) -> str:
    """Some proxies add the port: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host
