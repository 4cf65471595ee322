"""The client's address and scheme, when a trusted proxy forwards its request."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MAX_HOPS = 32
"""Hops looked at, from the right; chains of proxies are shorter, and a client may send any number."""


def client_address(peer: str, x_forwarded_for: str | None, trusted: Sequence[Network]) -> str:
    """The address of the client: the rightmost hop that is not a trusted proxy.

    Everything to the left of it comes from an unknown sender. What cannot be read as an address ends the
    walk: then it is the last hop that we could believe.
    """
    if not x_forwarded_for or not trusted or not is_trusted(peer, trusted):
        return peer
    believed = peer
    for hop in reversed(x_forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
        address = _address(hop)
        if address is None:
            return believed
        believed = str(address)
        if not _is_in(address, trusted):
            return believed
    return believed


def client_scheme(peer: str, scheme: str, x_forwarded_proto: str | None, trusted: Sequence[Network]) -> str:
    """`https` or `http` as the client used it; a proxy's word counts only when it is trusted."""
    if x_forwarded_proto and trusted and is_trusted(peer, trusted):
        forwarded = x_forwarded_proto.rsplit(",", 1)[-1].strip().lower()
        if forwarded in ("http", "https"):
            return forwarded
    return scheme


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    address = _address(peer)
    return address is not None and _is_in(address, trusted)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _address(text: str) -> Address | None:
    """Reads `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]:567`; an IPv4 address in IPv6 clothes is IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
