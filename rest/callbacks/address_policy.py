"""Says which IP addresses callbacks may go to: public ones, and those that CALLBACK_ALLOW_HOSTS names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
# Returns the addresses of a host, as text. Raises OSError where it has none.
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]

_NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address lies in the last 32 bits, and that is where it leads
_ROUTED = IPv6Network("2000::/3")  # all of IPv6 that is given out to the public
_NEVER = tuple(
    ip_network(each)
    for each in (
        "168.63.129.16/32",  # how Azure's machines reach their host, metadata included
        "192.0.0.0/24",  # protocols of their own, and a cloud's metadata
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # Teredo, and other protocols of their own
        "2002::/16",  # 6to4: the address holds another one
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)


@dataclass(frozen=True)
class AddressPolicy:
    """The addresses that callbacks may go to: public ones, and beside them these `hosts` and `networks`."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def allows(self, host: str, address: Address) -> bool:
        named = any(address.version == network.version and address in network for network in self.networks)
        return named or host in self.hosts or is_public(address)


def is_public(address: Address) -> bool:
    """Say whether the address belongs to the public Internet, and to one host in it."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _ROUTED:
            return False
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def unmap_ipv4(address: Address) -> Address:
    """Return the IPv4 address where this is one in the clothes of IPv6."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
