"""The service itself: whether it answers, and says that it takes heartbeats."""

import json
import ssl
from collections.abc import Iterator

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, ok, problem, skipped, warning

_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_SHOWN = 200
_START = "Start the service, or give its address with --url. Its log contains the reason if it stopped."


def service(patient: DoctorContext) -> Iterator[Finding]:
    """It is there and ready."""
    web = patient.configured.web
    url = (patient.url or f"http://{_callable(web.listen_address)}").rstrip("/")
    try:
        status, said = _ask(f"{url}/-/ready")
    except HTTPError as error:
        yield problem(f"{url} does not answer: {_reason(error)}", _START)
        return
    if status == 200:
        yield ok(f"{url} is ready")
    elif status == 503:
        yield problem(f"{url} accepts no heartbeats: {said}", "See the database checks and the log of the service.")
    else:
        yield problem(f"{url} answered {status} to /-/ready: it may be another service", _START)


def external_address(patient: DoctorContext) -> Iterator[Finding]:
    """It answers where people and jobs are told to find it."""
    url = patient.configured.web.external_url
    if url is None:
        yield skipped("web.external_url is not set")
        return
    try:
        status, _ = _ask(f"{url}/-/healthy")
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
    """Where to call who listens there: on every address is also on loopback."""
    host, _, port = listen_address.rpartition(":")
    every = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - called, not listened on
    return f"{every.get(host, host)}:{port}"


def _ask(url: str) -> tuple[int, str]:
    """The status, and what an error says. No proxy: it is ours."""
    with urllib3.PoolManager(retries=False, ssl_context=ssl.create_default_context()) as pool:
        answer = pool.request("GET", url, timeout=_TIMEOUT, redirect=False, preload_content=False)
        try:
            text = answer.read(4096).decode("utf-8", "replace")
        finally:
            answer.close()
    try:
        found = json.loads(text)
    except ValueError:
        return answer.status, ""
    said = found.get("error", found.get("description", "")) if isinstance(found, dict) else ""
    return answer.status, str(said)[:_SHOWN]


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
