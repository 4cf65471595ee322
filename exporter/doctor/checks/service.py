"""The service itself: whether it answers, and says that it takes heartbeats."""

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
_SHOWN = 200
_LONGEST_LIST = 1 << 20
_MOST_REFUSALS = 3
_START = "Start it, or say where it is with --url. Its log says why it ended."


def service(patient: DoctorContext) -> Iterator[Finding]:
    """It is there and ready."""
    url = _url(patient)
    try:
        status, said = _ask(f"{url}/-/ready")
    except HTTPError as error:
        yield problem(f"{url} does not answer: {_reason(error)}", _START)
        return
    if status == 200:
        yield ok(f"{url} is ready")
    elif status == 503:
        yield problem(f"{url} takes no heartbeats: {said}", "See the checks of the database, and its log.")
    else:
        yield problem(f"{url} answered {status} to /-/ready: is it this service?", _START)


def refusals(patient: DoctorContext) -> Iterator[Finding]:
    """It refused no heartbeat in the last day."""
    token = patient.configured.web.auth.token
    headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
    url = _url(patient)
    try:
        status, text = _get(f"{url}/api/v1/refusals", headers, _LONGEST_LIST)
        found = json.loads(text)["refusals"] if status == 200 else None
        counts = Counter(
            (one["reason"], one["tag"], one["address"])
            for one in found or ()
            if parse_moment(one["at"]) > patient.clock.now() - DAY
        )
    except HTTPError:
        yield skipped("the service does not answer")
        return
    except (ValueError, LookupError, TypeError, InvalidValue):
        yield skipped(f"{url} answered what is no list of refusals: is it this service, and this version?")
        return
    if found is None:
        yield skipped(f"{url} answered {status} to /api/v1/refusals")
    elif not counts:
        yield ok("no heartbeat was refused in the last day, as far as the service remembers")
    else:
        shown = [
            f"{reason.replace('_', ' ')}{f' {tag!r}' if tag else ''} from {address or 'a local socket'} ({count})"
            for (reason, tag, address), count in counts.most_common(_MOST_REFUSALS)
        ]
        more = f" and {len(counts) - len(shown)} more kinds" if len(counts) > len(shown) else ""
        text = f"{counted(counts.total(), 'heartbeat')} refused in the last day: {', '.join(shown)}{more}"
        yield warning(text, "Correct the URL that these clients call. The page /refusals lists them.")


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
            f"{url} does not answer from here: {_reason(error)}",
            "Look at the proxy, its certificate and the name; messages and curl lines have this URL.",
        )
        return
    if status == 200:
        yield ok(f"{url} leads to the service")
    else:
        yield warning(
            f"{url} answered {status} to /-/healthy",
            "Does the proxy pass everything on? See 'Behind a reverse proxy' in docs/operations.md.",
        )


def _url(patient: DoctorContext) -> str:
    return (patient.url or f"http://{_callable(patient.configured.web.listen_address)}").rstrip("/")


def _callable(listen_address: str) -> str:
    """Where to call who listens there: on every address is also on loopback."""
    host, _, port = listen_address.rpartition(":")
    every = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - called, not listened on
    return f"{every.get(host, host)}:{port}"


def _ask(url: str) -> tuple[int, str]:
    """The status, and what an error says."""
    status, text = _get(url, {}, 4096)
    try:
        found = json.loads(text)
    except ValueError:
        return status, ""
    said = found.get("error", found.get("description", "")) if isinstance(found, dict) else ""
    return status, str(said)[:_SHOWN]


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
        return "no secure connection"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "no address is known for its name"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "no connection"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return "it broke off"
