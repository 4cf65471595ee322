"""HTTP for notifiers: one request, bounded in time and size, whose failure says whether trying again helps.

Redirects are not followed: a webhook's URL is a secret, and who answers with another place gets it no further.
No error here holds the URL or what the notifier declared secret, whatever the other side echoes.
"""

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from exporter import __version__
from exporter.alerting.notifier import DeliveryFailed, Failure
from exporter.config.alert_models import NotifierOptions
from exporter.core.clock import SECOND

LONGEST_CONNECT = 5.0
"""Seconds, or the notifier's timeout if that is shorter."""
LARGEST_ANSWER = 64 * 1024
_SAID = 200
"""Characters of an answer that are shown."""
LONGEST_WAIT = 24 * 3600.0
_COME_AGAIN = {408: Failure.TIMEOUT, 425: Failure.RATE_LIMITED, 429: Failure.RATE_LIMITED}
IDEMPOTENCY_KEY = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    """The beginning of the body, as text without what is secret."""


class PrivateAddress(HTTPError):
    """The connection reached an address that the settings forbid."""


class _PublicOnly:
    """Looks at the address that a connection has in fact reached: no second look-up can answer differently."""

    def _new_conn(self) -> Any:
        made = super()._new_conn()  # type: ignore[misc]
        if not ip_address(str(made.getpeername()[0]).partition("%")[0]).is_global:
            made.close()
            raise PrivateAddress("a private address")
        return made


class _PublicHTTPConnection(_PublicOnly, HTTPConnection):
    pass


class _PublicHTTPSConnection(_PublicOnly, HTTPSConnection):
    pass


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


class HttpClient:
    """One notifier's way to the web. Proxies come from the environment; certificates are verified."""

    def __init__(self, options: NotifierOptions, secrets: Sequence[str] = (), ca_file: str | None = None) -> None:
        """`secrets` are taken out of whatever is shown."""
        self._public_only = not options.allow_private_addresses
        self._seconds = options.timeout / SECOND
        self._secrets = sorted({secret for secret in secrets if len(secret) > 3}, key=len, reverse=True)
        self._timeout = urllib3.Timeout(connect=min(LONGEST_CONNECT, self._seconds), read=self._seconds)
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._tls = ssl.create_default_context(cafile=ca_file)

    def send(
        self,
        method: str,
        url: str,
        *,
        key: str,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends `json`, or `body`, and returns the answer if it is 2xx. Raises DeliveryFailed.

        `key` goes out as the header Idempotency-Key.
        """
        sent = {"User-Agent": f"heartbeat-exporter/{__version__}", IDEMPOTENCY_KEY: key, **(headers or {})}
        host = urlsplit(url).hostname or "nowhere"
        try:
            response = self._pool(url).request(
                method,
                url,
                body=body,
                json=json,
                headers=sent,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                text = self._read(response)
            finally:
                response.close()
        except (HTTPError, OSError, ValueError) as error:
            raise _unreachable(error, host) from None
        self._check(response, host, text)
        return Answer(response.status, text)

    def _read(self, response: Any) -> str:
        """Bounded in size, and in time: someone who sends a byte now and then holds nobody up."""
        deadline = time.monotonic() + self._seconds
        found = b""
        for chunk in response.stream(4096, decode_content=True):
            found += chunk
            if len(found) >= LARGEST_ANSWER or time.monotonic() > deadline:
                break
        return self.shown(found.decode("utf-8", "replace"))

    def shown(self, text: str) -> str:
        """`text` short, printable, and without what is secret."""
        for secret in self._secrets:
            text = text.replace(secret, "<secret>")
        return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))[:_SAID]

    def _check(self, response: Any, host: str, text: str) -> None:
        status: int = response.status
        if 200 <= status < 300:
            return
        said = f": {text}" if text else ""
        retry_after = _seconds_of(response.headers.get("Retry-After"))
        if status in _COME_AGAIN or status >= 500:
            failure = _COME_AGAIN.get(status, Failure.SERVER_ERROR)
            raise DeliveryFailed(failure, f"{host} answered {status}{said}", retry=True, retry_after=retry_after)
        if 300 <= status < 400:
            said = ": it redirects to another URL, which has to stand in the configuration"
        raise DeliveryFailed(Failure.REJECTED, f"{host} answered {status}{said}", retry=False)

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxies = getproxies()
        proxy = None if proxy_bypass(parts.hostname or "") else proxies.get(parts.scheme, proxies.get("all"))
        if proxy not in self._pools:
            kind: Any = urllib3.PoolManager if proxy is None else urllib3.ProxyManager
            pool = kind(*([proxy] if proxy else []), ssl_context=self._tls, num_pools=8, maxsize=1)
            if self._public_only and proxy is None:
                pool.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
            self._pools[proxy] = pool
        return self._pools[proxy]


def _unreachable(error: Exception, host: str) -> DeliveryFailed:
    """In our own words: the library's hold the URL."""
    reason: BaseException = error
    while isinstance(reason, HTTPError) and reason.__cause__ is not None:
        reason = reason.__cause__
    if isinstance(error, PrivateAddress):
        text = f"{host} is at a private address, and allow_private_addresses is false"
        return DeliveryFailed(Failure.FORBIDDEN, text, retry=False)
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
        return DeliveryFailed(Failure.TIMEOUT, f"{host} did not answer in time", retry=True)
    if isinstance(error, NameResolutionError):
        return DeliveryFailed(Failure.CONNECT, f"there is no host {host}", retry=True)
    if isinstance(error, SSLError) or isinstance(reason, ssl.SSLError):
        why = getattr(reason, "verify_message", "") or "no TLS there"
        return DeliveryFailed(Failure.CONNECT, f"no secure connection to {host}: {why}", retry=True)
    if isinstance(error, LocationValueError | UnicodeError):
        return DeliveryFailed(Failure.REJECTED, "the URL cannot be used", retry=False)
    if isinstance(error, NewConnectionError) or isinstance(reason, ConnectionRefusedError):
        why = getattr(reason, "strerror", None) or "no connection"
        return DeliveryFailed(Failure.CONNECT, f"{host}: {str(why).lower()}", retry=True)
    return DeliveryFailed(Failure.CONNECT, f"the connection to {host} broke off", retry=True)


def _seconds_of(retry_after: str | None) -> float | None:
    """Of a Retry-After header, in seconds or as a date."""
    if retry_after is None:
        return None
    try:
        wait = float(retry_after) if retry_after.strip().isdigit() else _until(retry_after)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, wait), LONGEST_WAIT)


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
