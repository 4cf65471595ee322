"""Which IP addresses belong to the public internet, and where a name leads, before any connection is made.

A person who may write a configuration but not use the network must not learn which of its ports are open. So the
addresses of a name are judged first, and a connection goes to one of those that were judged: the name is not looked up
a second time, when it could lead elsewhere.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, reachable from its guests alone
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo and other protocols' own
        "2001:db8::/32",
        "3fff::/20",
    )
)
_MAPPED, _NAT64, _SIX_TO_FOUR = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The third quarter of an address whose last quarter is an IPv4 address."""


class PrivateAddress(OSError):
    """The settings forbid this address."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's. An IPv4 address inside an IPv6 one is judged as itself."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return _is_public_4(ip)
    inner = _inside(ip)
    if ip in _MAPPED or ip in _NAT64:
        return inner is not None and _is_public_4(inner)
    if ip not in _GLOBAL_UNICAST or any(ip in network for network in _NOT_PUBLIC_6):
        return False
    return inner is None or _is_public_4(inner)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_4)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which a gateway would pass this one's packets on."""
    number = int(address)
    if address in _SIX_TO_FOUR:
        return IPv4Address(number >> 80 & 0xFFFFFFFF)
    if address in _MAPPED or address in _NAT64 or number >> 32 & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(number & 0xFFFFFFFF)
    return None


def public_addresses(host: str, port: int | None) -> Sequence[str]:
    """The addresses of a host, in the resolver's order. Raises PrivateAddress unless all are public, and OSError or
    UnicodeError when there are none.
    """
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in infos))
    if not all(map(is_public, addresses)):
        raise PrivateAddress("a private address")
    return addresses


def connect_public(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to one of the host's addresses. Raises as `public_addresses`, and OSError."""
    failure: OSError | None = None
    for address in public_addresses(host, port):
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            failure = error
    raise failure or OSError("no address")
