"""Checks of the running service: it answers, and is ready to accept heartbeats."""

import json
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from exporter.core.clock import DAY
from exporter.core.errors import InvalidValue
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, counted, ok, problem, skipped, warning
from exporter.presentation.moments import parse_moment

_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_MAX_SHOWN = 200
_MAX_LIST = 1 << 20
_MAX_REFUSALS = 3
_START = "Start the service, or give its address with --url. Its log contains the reason if it stopped."


def service(context: DoctorContext) -> Iterator[Finding]:
    """The service is running and ready."""
    url = _url(context)
    try:
        status, reason = _ask(f"{url}/-/ready")
    except HTTPError as error:
        yield problem(f"{url} does not answer: {_reason(error)}", _START)
        return
    if status == 200:
        yield ok(f"{url} is ready")
    elif status == 503:
        yield problem(f"{url} accepts no heartbeats: {reason}", "See the database checks and the log of the service.")
    else:
        yield problem(f"{url} answered {status} to /-/ready: it may be another service", _START)


def refusals(context: DoctorContext) -> Iterator[Finding]:
    """It refused no heartbeat in the last day."""
    token = context.configured.web.auth.token
    headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
    url = _url(context)
    try:
        status, text = _get(f"{url}/api/v1/refusals", headers, _MAX_LIST)
        refused = json.loads(text)["refusals"] if status == 200 else None
        counts = Counter(
            (refusal["reason"], refusal["tag"], refusal["address"])
            for refusal in refused or ()
            if parse_moment(refusal["at"]) > context.clock.now() - DAY
        )
    except HTTPError:
        yield skipped("the service does not answer")
        return
    except (ValueError, LookupError, TypeError, InvalidValue):
        yield skipped(f"{url} answered what is no list of refusals: is it this service, and this version?")
        return
    if refused is None:
        yield skipped(f"{url} answered {status} to /api/v1/refusals")
    elif not counts:
        yield ok("no heartbeat was refused in the last day, as far as the service remembers")
    else:
        shown = [
            f"{reason.replace('_', ' ')}{f' {tag!r}' if tag else ''} from {address or 'a local socket'} ({count})"
            for (reason, tag, address), count in counts.most_common(_MAX_REFUSALS)
        ]
        more = f" and {len(counts) - len(shown)} more kinds" if len(counts) > len(shown) else ""
        text = f"{counted(counts.total(), 'heartbeat')} refused in the last day: {', '.join(shown)}{more}"
        yield warning(text, "Correct the URL that these clients call. The page /refusals lists them.")


def external_address(context: DoctorContext) -> Iterator[Finding]:
    """The service answers at the URL of messages and curl commands."""
    url = context.configured.web.external_url
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


def _url(context: DoctorContext) -> str:
    return (context.url or f"http://{_callable(context.configured.web.listen_address)}").rstrip("/")


def _callable(listen_address: str) -> str:
    """Returns the address to connect to. A server that listens on every address also listens on loopback."""
    host, _, port = listen_address.rpartition(":")
    every = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - called, not listened on
    return f"{every.get(host, host)}:{port}"


def _ask(url: str) -> tuple[int, str]:
    """Returns the status, and the text of an error."""
    status, text = _get(url, {}, 4096)
    try:
        body = json.loads(text)
    except ValueError:
        return status, ""
    reason = body.get("error", body.get("description", "")) if isinstance(body, dict) else ""
    return status, str(reason)[:_MAX_SHOWN]


def _get(url: str, headers: Mapping[str, str], most: int) -> tuple[int, str]:
    """The status and the first `most` bytes. No proxy: it is ours."""
    with urllib3.PoolManager(retries=False, ssl_context=ssl.create_default_context()) as pool:
        answer = pool.request("GET", url, headers=headers, timeout=_TIMEOUT, redirect=False, preload_content=False)
        try:
            return answer.status, answer.read(most).decode("utf-8", "replace")
        finally:
            answer.close()


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
