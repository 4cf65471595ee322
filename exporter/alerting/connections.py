"""Connections of one request: through the environment's proxies, to no forbidden address, and ended at a deadline."""

import socket
import ssl
import threading
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers


class PrivateAddress(HTTPError):
    """The settings forbid this address."""


class UnusableProxy(HTTPError):
    """What the environment names as a proxy is none that we speak with."""


class Guard:
    """Looks after one request's connections: none to a forbidden address, and none that outlives the deadline.

    A timeout of a socket begins anew with every byte; somebody who sends one now and then would hold us up for ever.
    """

    def __init__(self, seconds: float, public_only: bool) -> None:
        self.expired = False
        self._public_only = public_only
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for one in self._sockets:
                one.close()
            self._sockets.clear()

    def admit(self, made: socket.socket) -> None:
        """Looks at the address that was in fact reached: no second look-up can answer differently."""
        if self._public_only and not is_public(str(made.getpeername()[0])):
            made.close()
            raise PrivateAddress("a private address")
        with self._lock:
            if self.expired:
                made.close()
                raise TimeoutError("too late")
            # A duplicate, since TLS takes the socket itself over; shutting it down ends both.
            self._sockets.append(made.dup())

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            for one in self._sockets:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # closed by the other side already


class _Guarded:
    def __init__(self, *arguments: Any, guard: Guard, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._guard = guard

    def _new_conn(self) -> Any:
        made = super()._new_conn()  # type: ignore[misc]
        self._guard.admit(made)
        return made


class _GuardedHTTP(_Guarded, HTTPConnection):
    pass


class _GuardedHTTPS(_Guarded, HTTPSConnection):
    pass


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's; an IPv4 address in the clothes of IPv6 is looked at as itself."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and (found.ipv4_mapped or found.sixtofour):
        return (found.ipv4_mapped or found.sixtofour or found).is_global
    return found.is_global


def manager_for(proxy: str | None, guard: Guard, tls: ssl.SSLContext) -> PoolManager:
    if proxy is None:
        manager = PoolManager(ssl_context=tls)
    else:
        parts = urlsplit(proxy)
        headers = None
        if parts.username is not None:
            known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = make_headers(proxy_basic_auth=known)
        manager = ProxyManager(proxy, proxy_headers=headers, ssl_context=tls)
    kinds: Any = {
        "http": partial(_pool, HTTPConnectionPool, partial(_GuardedHTTP, guard=guard)),
        "https": partial(_pool, HTTPSConnectionPool, partial(_GuardedHTTPS, guard=guard)),
    }
    manager.pool_classes_by_scheme = kinds
    return manager


def _pool(kind: Any, connection: Any, *arguments: Any, **options: Any) -> Any:
    pool = kind(*arguments, **options)
    pool.ConnectionCls = connection
    return pool


def proxy_for(parts: SplitResult) -> str | None:
    """As curl finds it: `https_proxy`, `all_proxy` and `no_proxy`, in either case. Raises UnusableProxy."""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        found = urlsplit(proxy)
        good = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        good = False
    if not good:
        raise UnusableProxy("no proxy")
    return proxy


def check_by_name(host: str) -> None:
    """A proxy looks names up itself; what ours says is the best there is. A name that only it knows goes to it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    if not all(is_public(str(one[4][0])) for one in found):
        raise PrivateAddress("a private address")
