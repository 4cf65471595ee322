"""Checks of the running service: it answers, and is ready to accept heartbeats."""

import json
import ssl
from collections.abc import Iterator

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, ok, problem, skipped, warning

_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_MAX_SHOWN = 200
_START = "Start the service, or give its address with --url. Its log contains the reason if it stopped."


def service(context: DoctorContext) -> Iterator[Finding]:
    """The service is running and ready."""
    web = context.configured.web
    url = (context.url or f"http://{_callable(web.listen_address)}").rstrip("/")
    try:
        status, reason = _get(f"{url}/-/ready")
    except HTTPError as error:
        yield problem(f"{url} does not answer: {_reason(error)}", _START)
        return
    if status == 200:
        yield ok(f"{url} is ready")
    elif status == 503:
        yield problem(f"{url} accepts no heartbeats: {reason}", "See the database checks and the log of the service.")
    else:
        yield problem(f"{url} answered {status} to /-/ready: it may be another service", _START)


def external_address(context: DoctorContext) -> Iterator[Finding]:
    """The service answers at the URL of messages and curl commands."""
    url = context.configured.web.external_url
    if url is None:
        yield skipped("web.external_url is not set")
        return
    try:
        status, _ = _get(f"{url}/-/healthy")
    except HTTPError as error:
        yield warning(
            f"{url} does not answer from this machine: {_reason(error)}",
            "Check the proxy, its certificate and the host name: messages and curl commands contain this URL.",
        )
        return
    if status == 200:
        yield ok(f"{url} leads to the service")
    else:
        yield warning(
            f"{url} answered {status} to /-/healthy",
            "Check that the proxy forwards every path. See 'Behind a reverse proxy' in docs/operations.md.",
        )


def _callable(listen_address: str) -> str:
    """Returns the address to connect to. A server that listens on every address also listens on loopback."""
    host, _, port = listen_address.rpartition(":")
    every = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - called, not listened on
    return f"{every.get(host, host)}:{port}"


def _get(url: str) -> tuple[int, str]:
    """Returns the status, and the text of an error. Uses no proxy. Raises HTTPError."""
    with urllib3.PoolManager(retries=False, ssl_context=ssl.create_default_context()) as pool:
        answer = pool.request("GET", url, timeout=_TIMEOUT, redirect=False, preload_content=False)
        try:
            text = answer.read(4096).decode("utf-8", "replace")
        finally:
            answer.close()
    try:
        body = json.loads(text)
    except ValueError:
        return answer.status, ""
    reason = body.get("error", body.get("description", "")) if isinstance(body, dict) else ""
    return answer.status, str(reason)[:_MAX_SHOWN]


def _reason(error: HTTPError) -> str:
    if isinstance(error, SSLError):
        return "TLS failed"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the host name cannot be resolved"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "connection failed"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "request timed out"
    return "the connection was closed"
