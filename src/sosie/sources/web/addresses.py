"""Which internet addresses are public. Everything else is out of bounds for a URL that somebody else wrote.

The table is our own, after the IANA special-purpose registries (RFC 6890) as of 2026: Python's ``is_global``
has changed its mind between releases, and knows nothing of addresses inside addresses.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias

from sosie.errors import BadPicture

__all__ = ["Address", "Internet", "Resolver", "check_peer", "checked_addresses", "resolve", "why_not_public"]

Address: TypeAlias = IPv4Address | IPv6Address
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]

_IPV4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291: nothing outside is public
_IPV6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214: the upper half of the interface identifier


def why_not_public(address: Address) -> str | None:
    """Return why an address is out of bounds, or None where it is public."""
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _IPV4 if address in network), None)
    if address.scope_id is not None:
        return "scoped"
    if address in _NAT64:
        return _inside(address, "NAT64")
    reason = next((reason for network, reason in _IPV6 if address in network), None)
    if reason is not None or address not in _GLOBAL_UNICAST:
        return reason or "reserved"
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return _inside(address, "ISATAP")
    return None


def _inside(address: IPv6Address, how: str) -> str | None:
    reason = why_not_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return f"{how} of {reason}" if reason else None


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for a host's addresses; it knows every spelling of a number, too."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Internet:
    """How the internet is reached: what may be reached, who looks up names, and who opens connections.

    ``allow_private`` is for one's own intranet; nothing but the command line may set it. ``network`` is an
    httpcore.AsyncNetworkBackend; tests give one of their own.
    """

    allow_private: bool = False
    resolver: Resolver = resolve
    network: Any = None


def checked_addresses(host: str, texts: Sequence[str], *, allow_private: bool = False) -> list[Address]:
    """Return a host's addresses; raise BadPicture ``private_address`` where any of them is not public."""
    addresses = [_parsed(host, text) for text in texts]
    for address in addresses:
        reason = why_not_public(address) or _why_own(address)
        if reason and not (allow_private and _may_be_allowed(address)):
            raise BadPicture("private_address", f"{host} is at {address} ({reason}), which is not the public internet")
    if not addresses:
        raise BadPicture("no_such_host", f"{host} has no address")
    return addresses


def check_peer(wanted: Address, peer: object, *, host: str, allow_private: bool) -> None:
    """Make sure that a connection ended where it was sent; raise BadPicture ``private_address`` otherwise."""
    text = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    if not text:
        raise BadPicture("private_address", f"nobody knows whom the connection to {host} has reached")
    (reached,) = checked_addresses(host, [text], allow_private=allow_private)
    if reached != wanted:
        raise BadPicture("private_address", f"the connection to {host} at {wanted} has reached {reached}")


def _parsed(host: str, text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise BadPicture("bad_url", f"{host} has an address that is none: {text!r}") from error


def _why_own(address: Address) -> str | None:
    """Return why an address is this machine's own, which may serve to itself what it does not serve to others.

    A datagram socket is connected, which sends nothing: the system gives it the address that it would send from, and
    for an address of one of its interfaces that is the address itself.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return "this machine" if ip_address(probe.getsockname()[0]) == address else None
    except OSError:  # there is no way to it
        return None


def _may_be_allowed(address: Address) -> bool:
    """An intranet is one's own; addresses that go to many or to nobody are not."""
    return not address.is_multicast and not address.is_unspecified and address != IPv4Address("255.255.255.255")
