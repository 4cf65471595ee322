"""HTTP for notifiers: one request, bounded in time and size, whose failure says whether trying again helps.

Redirects are not followed: a webhook's URL is a secret, and must not be sent to another server.
No error here holds the URL or what the notifier declared secret, whatever the other side echoes.
"""

import json as json_format
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from urllib3 import HTTPHeaderDict, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from exporter import __version__
from exporter.core.alerts.notification import MAX_HOLD
from exporter.core.clock import SECOND
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.transport.connections import AddressPolicy, PrivateAddressRefused, check_by_name, manager_for
from exporter.notify.transport.proxies import UnusableProxy, proxy_for
from exporter.notify.transport.redaction import Redaction, basic_credentials

MAX_CONNECT = 5.0
"""Seconds, or the notifier's timeout if that is shorter."""
MAX_ANSWER = 64 * 1024
_MAX_WAIT = MAX_HOLD / SECOND
"""Seconds that an answer may ask for."""
IDEMPOTENCY_KEY = "Idempotency-Key"
_COME_AGAIN = {
    408: Failure.TIMEOUT,
    420: Failure.RATE_LIMITED,  # as some services say 429
    421: Failure.SERVER_ERROR,  # another connection may lead to the right server
    423: Failure.SERVER_ERROR,  # locked, for now
    425: Failure.RATE_LIMITED,
    429: Failure.RATE_LIMITED,
}
_NUMBER = re.compile(r"[0-9]{1,300}(\.[0-9]{0,9})?")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    text: str
    """The beginning of the body, as text without what is secret."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """Any answer. Its text may hold secrets that were echoed."""

    host: str
    status: int
    retry_after: Sequence[str]
    text: str


class Limits(Protocol):
    """What bounds a client's requests; a notifier's options do."""

    @property
    def timeout(self) -> int:
        """Milliseconds."""
        ...

    @property
    def allow_private_addresses(self) -> bool: ...


class HttpClient:
    """One notifier's way to the web. Proxies come from the environment; certificates are verified.

    Connections are not kept: messages are rare, and a connection that died in between would fail one.
    """

    def __init__(self, options: Limits, secrets: Sequence[str] = (), ca_file: str | None = None) -> None:
        """`secrets` are taken out of whatever is shown; of a URL among them every part is."""
        self._public_only = not options.allow_private_addresses
        self._seconds = options.timeout / SECOND
        self._connect = min(MAX_CONNECT, self._seconds)
        self.shown = Redaction(secrets).shown
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
    ) -> HttpResponse:
        """Sends `json`, or `body`, and returns the answer if it is 2xx. Raises DeliveryFailed.

        `key` goes out as the header Idempotency-Key. What stands before an @ in the URL is sent as Basic credentials.
        """
        reply = self.ask(method, url, key=key, json=json, body=body, headers=headers)
        self._check(reply)
        return HttpResponse(reply.status, self.shown(reply.text))

    def ask(
        self,
        method: str,
        url: str,
        *,
        key: str | None = None,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "_Reply":
        """As `send`, but whatever the answer is. Raises DeliveryFailed when there is none."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _unusable() from None
        if not host or port == 0 or parts.scheme not in ("http", "https"):
            raise _unusable()
        sent = HTTPHeaderDict({"User-Agent": f"heartbeat-exporter/{__version__}"})
        if key is not None:
            sent[IDEMPOTENCY_KEY] = key
        credentials = basic_credentials(parts)
        if credentials is not None:
            sent["Authorization"] = credentials
        if json is not None:
            sent["Content-Type"] = "application/json"
            body = json_format.dumps(json, ensure_ascii=False).encode("utf-8", "replace")
        for name, value in (headers or {}).items():
            sent[name] = value
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        try:
            proxy = proxy_for(parts)
        except UnusableProxy:
            text = "the proxy from the environment is not supported: its URL must begin with http:// or https://"
            raise DeliveryFailed(Failure.CONNECT, text, retry=True) from None
        with AddressPolicy(self._connect + self._seconds, self._public_only and proxy is None) as guard:
            try:
                if self._public_only and proxy is not None:
                    check_by_name(host)
                status, retry_after, text = self._exchange(guard, proxy, method, bare, body, sent)
            except (HTTPError, OSError, ValueError) as error:
                raise _unreachable(error, host, guard.expired) from None
        return _Reply(host, status, retry_after, text)

    def _exchange(
        self,
        guard: AddressPolicy,
        proxy: str | None,
        method: str,
        url: str,
        body: bytes | None,
        headers: HTTPHeaderDict,
    ) -> tuple[int, Sequence[str], str]:
        with manager_for(proxy, guard, self._tls) as manager:
            response = manager.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=Timeout(connect=self._connect, read=self._seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                if guard.expired:
                    raise TimeoutError("its headers have no end")
                return response.status, response.headers.getlist("Retry-After"), _beginning(response)
            finally:
                response.close()

    def _check(self, reply: "_Reply") -> None:
        status, host, text = reply.status, reply.host, reply.text
        if 200 <= status < 300:
            return
        shown = self.shown(text)
        detail = f": {shown}" if shown else ""
        if status in _COME_AGAIN or status >= 500:
            asked = [seconds for each in reply.retry_after if (seconds := _seconds_of(each)) is not None]
            wait = max(asked) if asked else _wait_in(text)
            failure = _COME_AGAIN.get(status, Failure.SERVER_ERROR)
            raise DeliveryFailed(failure, f"{host} answered {status}{detail}", retry=True, retry_after=wait)
        if 300 <= status < 400:
            detail = ": it redirects to another URL; configure that URL instead"
        raise DeliveryFailed(Failure.REJECTED, f"{host} answered {status}{detail}", retry=False)


def _beginning(response: Any) -> str:
    """As much of the body as comes in time: what it is about has been said by the status already."""
    content = b""
    try:
        while len(content) < MAX_ANSWER and (chunk := response.read1(4096)):
            content += chunk
    except (HTTPError, OSError):
        pass
    return content.decode("utf-8", "replace")


def _unusable() -> DeliveryFailed:
    return DeliveryFailed(Failure.REJECTED, "the URL is invalid", retry=False)


def _unreachable(error: Exception, host: str, expired: bool) -> DeliveryFailed:
    """In our own words: the library's hold the URL."""
    if isinstance(error, PrivateAddressRefused):
        text = f"{host} is at a private address, and allow_private_addresses is false"
        return DeliveryFailed(Failure.FORBIDDEN, text, retry=False)
    if isinstance(error, LocationValueError) or (isinstance(error, ValueError) and not isinstance(error, OSError)):
        return _unusable()
    reason = _reason(error)
    # For urllib3 every connection that came to nothing is a timeout.
    waited = isinstance(reason, ConnectTimeoutError | ReadTimeoutError | TimeoutError)
    if expired or (waited and not isinstance(error, NewConnectionError)) or isinstance(reason, TimeoutError):
        return DeliveryFailed(Failure.TIMEOUT, f"{host} did not answer in time", retry=True)
    to = f"the proxy for {host}" if isinstance(error, ProxyError) else host
    if isinstance(error, NameResolutionError):
        text = f"the host name {host} cannot be resolved"
    elif isinstance(reason, ssl.SSLError | SSLError):
        text = f"no secure connection to {to}: {getattr(reason, 'verify_message', '') or 'the server does not use TLS'}"
    elif isinstance(reason, ConnectionResetError | BrokenPipeError) or not isinstance(reason, OSError):
        text = f"the connection to {to} was lost"
    else:
        text = f"no connection to {to}: {str(reason.strerror or 'it was refused').lower()}"
    return DeliveryFailed(Failure.CONNECT, text, retry=True)


def _reason(error: BaseException) -> BaseException:
    """What lies below the library's own errors."""
    while isinstance(error, HTTPError):
        inner = [cause for cause in (error.__cause__, *error.args) if isinstance(cause, BaseException)]
        if not inner:
            break
        error = inner[0]
    return error


def _seconds_of(retry_after: str) -> float | None:
    """Of a Retry-After header, in seconds or as a date."""
    text = retry_after.strip()
    try:
        wait = float(text) if _NUMBER.fullmatch(text) else parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, wait), _MAX_WAIT)


def _wait_in(text: str) -> float | None:
    """Discord and Telegram say it in the answer: `retry_after`, in seconds."""
    try:
        body = json_format.loads(text)
    except (ValueError, RecursionError):
        return None
    for place in (body, body.get("parameters") if isinstance(body, dict) else None):
        wait = place.get("retry_after") if isinstance(place, dict) else None
        if isinstance(wait, int | float) and not isinstance(wait, bool) and wait >= 0:
            return float(min(wait, _MAX_WAIT))
    return None
