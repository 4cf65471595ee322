"""The environment's proxies, and the hosts that NO_PROXY keeps from them, as curl and Go read it."""

import re
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from urllib3.exceptions import HTTPError

_PORTS = {"http": 80, "https": 443}
_SEPARATORS = re.compile(r"[,\s]+")
_BRACKETED = re.compile(r"\[(?P<host>[^\]]*)\](?P<rest>.*)")
_Address = IPv4Address | IPv6Address


class UnusableProxy(HTTPError):
    """What the environment names as a proxy is none that we speak with."""


def proxy_for(parts: SplitResult) -> str | None:
    """The proxy for a URL, by `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`; a name in lower case goes before
    the same in upper case. Raises UnusableProxy.
    """
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if not proxy or is_exempt(parts.hostname or "", port, proxies.get("no", "")):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        address = urlsplit(proxy)
        good = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        good = False
    if not good:
        raise UnusableProxy("no proxy")
    return proxy


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether one of the entries of `no_proxy` fits: `*`, a name and all below it, an address, a network, a name with
    `*` in it; each may end in a port, which then has to be the same.
    """
    name = host.rstrip(".").lower()
    address = _address(name)
    return any(_fits(entry, name, address, port) for entry in _SEPARATORS.split(no_proxy.lower()) if entry)


def _fits(entry: str, name: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(entry, address)
    pattern, required_port = _split(entry)
    if required_port and required_port != str(port):
        return False
    if pattern == "*":
        return True
    if address is not None:
        return address == _address(pattern) or ("*" in pattern and fnmatchcase(str(address), pattern))
    if "*" in pattern:
        return fnmatchcase(name, pattern.rstrip("."))
    suffix = pattern.strip(".")
    return bool(suffix) and (name == suffix or name.endswith(f".{suffix}"))


def _split(entry: str) -> tuple[str, str]:
    """Host and port; an IPv6 address has brackets when it has a port."""
    bracketed = _BRACKETED.fullmatch(entry)
    if bracketed is not None:
        return bracketed["host"], bracketed["rest"].removeprefix(":")
    host, colon, port = entry.rpartition(":")
    if not colon or ":" in host:
        return entry, ""
    return host, port


def _in_network(entry: str, address: _Address | None) -> bool:
    try:
        network = ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False
    return address is not None and address.version == network.version and address in network


def _address(text: str) -> _Address | None:
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip
