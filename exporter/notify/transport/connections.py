"""Connections of one request: through the environment's proxies, to no forbidden address, and ended at a deadline."""

import socket
import ssl
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import make_headers

from exporter.notify.transport.address_policy import PrivateAddress as PrivateIP
from exporter.notify.transport.address_policy import is_public, public_addresses


class PrivateAddressRefused(HTTPError):
    """The settings forbid this address."""


class AddressPolicy:
    """Looks after one request's connections: none to a forbidden address, and none that outlives the deadline.

    A timeout of a socket restarts with every byte; a server that sends one now and then would block us forever.
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
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """Where to connect to. Raises PrivateAddress, and as `public_addresses`."""
        if not self._public_only:
            return (host,)
        try:
            return public_addresses(host, port)
        except PrivateIP:
            raise PrivateAddressRefused("a private address") from None

    def admit(self, made: socket.socket) -> None:
        """Looks at the address that was in fact reached, too."""
        if self._public_only and not is_public(str(made.getpeername()[0])):
            made.close()
            raise PrivateAddressRefused("a private address")
        with self._lock:
            if self.expired:
                made.close()
                raise TimeoutError("too late")
            # A duplicate, since TLS takes the socket itself over; shutting it down ends both.
            self._sockets.append(made.dup())

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            for connection in self._sockets:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # closed by the other side already


class _Guarded:
    _dns_host: str
    port: int

    def __init__(self, *arguments: Any, guard: AddressPolicy, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._guard = guard

    def _new_conn(self) -> Any:
        name = self._dns_host
        try:
            addresses = self._guard.addresses(name, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(name, self, error) from None  # type: ignore[arg-type]
        made: Any = None
        try:
            for address in addresses:
                # The certificate is held against the name, which is this one's again afterwards.
                self._dns_host = address
                try:
                    made = super()._new_conn()  # type: ignore[misc]
                    break
                except (ConnectTimeoutError, NewConnectionError):
                    if address == addresses[-1] or self._guard.expired:
                        raise
        finally:
            self._dns_host = name
        self._guard.admit(made)
        return made


class _GuardedHTTP(_Guarded, HTTPConnection):
    pass


class _GuardedHTTPS(_Guarded, HTTPSConnection):
    pass


def manager_for(proxy: str | None, guard: AddressPolicy, tls: ssl.SSLContext) -> PoolManager:
    if proxy is None:
        manager = PoolManager(ssl_context=tls)
    else:
        parts = urlsplit(proxy)
        headers = None
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = make_headers(proxy_basic_auth=credentials)
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


def check_by_name(host: str) -> None:
    """A proxy looks names up itself; what ours says is the best there is. A name that only it knows goes to it."""
    try:
        public_addresses(host, None)
    except PrivateIP:
        raise PrivateAddressRefused("a private address") from None
    except (OSError, UnicodeError):
        return
