"""Checks of connections to notifiers and self_heartbeat: name resolution, TCP and TLS. No message is sent."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, ok, problem, skipped
from exporter.notify.notifiers import notifier_class
from exporter.notify.transport.address_policy import PrivateAddress, connect_public
from exporter.notify.transport.endpoints import Endpoint, endpoint_of
from exporter.notify.transport.proxies import UnusableProxy, proxy_for

CONNECT_TIMEOUT, TOTAL_TIMEOUT = 5.0, 12.0
"""Seconds for one connection, and for all together: name resolution has no timeout."""
_TRY = "`heartbeat-exporter notify test NAME` sends a test message"
_ADVICE = f"Check the host name, port, firewall, proxy and certificate; {_TRY}."


@dataclass(frozen=True, slots=True)
class Task:
    """An endpoint to connect to, with the name of the setting that it belongs to."""

    name: str
    endpoint: Endpoint
    public_only: bool = False


def notifiers(context: DoctorContext) -> Iterator[Finding]:
    """The host of every notifier accepts a connection."""
    tasks: list[Task] = []
    for notifier in context.configured.notifiers:
        endpoints = notifier_class(notifier.type)(notifier.options).endpoints()
        public_only = not notifier.options.allow_private_addresses
        if not endpoints:
            yield skipped(f"{notifier.name}: {notifier.type} does not declare its endpoints; {_TRY}")
        tasks += [Task(notifier.name, endpoint, public_only) for endpoint in endpoints]
    yield from _in_parallel(tasks)
    if not context.configured.notifiers:
        yield ok("no notifiers are configured")


def self_heartbeat(context: DoctorContext) -> Iterator[Finding]:
    """The host of self_heartbeat accepts a connection."""
    settings = context.configured.self_heartbeat
    if settings is None:
        yield skipped("not configured: no other system watches the exporter (self_heartbeat in docs/configuration.md)")
        return
    yield from _in_parallel([Task("self_heartbeat", endpoint_of(settings.url.reveal()))])


def connect(task: Task) -> Finding:
    """Opens one connection and closes it. Blocks during name resolution, and at most CONNECT_TIMEOUT seconds more."""
    name, endpoint = task.name, task.endpoint
    to, where = (endpoint.host, endpoint.port), str(endpoint)
    try:
        proxy = (
            proxy_for(urlsplit(f"{'https' if endpoint.tls else 'http'}://{endpoint}/")) if endpoint.by_http else None
        )
    except UnusableProxy:
        return problem(f"{name}: the proxy of the environment is invalid", "Give it an http:// or https:// URL.")
    if proxy is not None:
        parts = urlsplit(proxy)
        to = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        where += f" through the proxy {to[0]}:{to[1]}"
    try:
        public_only = task.public_only and proxy is None
        with (
            connect_public(*to, CONNECT_TIMEOUT)
            if public_only
            else socket.create_connection(to, CONNECT_TIMEOUT) as connection
        ):
            if endpoint.tls and proxy is None:
                context = ssl.create_default_context(cafile=endpoint.ca_file)
                with context.wrap_socket(connection, server_hostname=endpoint.host):
                    return ok(f"{name}: {where} accepts connections, its certificate is valid")
        return ok(f"{name}: {where} accepts connections")
    except PrivateAddress:
        advice = "Use a host with a public address, or set allow_private_addresses: true."
        return problem(f"{name}: {where} has a private address, which allow_private_addresses forbids", advice)
    except (OSError, ValueError) as error:
        return problem(f"{name}: {where}: {_reason(error)}", _ADVICE)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the host name cannot be resolved"
    if isinstance(error, TimeoutError):
        return "connection timed out"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {getattr(error, 'verify_message', '') or 'the server does not support TLS'}"
    return str(getattr(error, "strerror", None) or "the connection was closed").lower()


def _in_parallel(tasks: Sequence[Task]) -> Iterator[Finding]:
    """Yields a finding for each task, in order. A thread that hangs in name resolution does not delay the exit."""
    findings: dict[int, Finding] = {}
    done = threading.Condition()

    def run(place: int) -> None:
        finding = connect(tasks[place])
        with done:
            findings[place] = finding
            done.notify()

    for place in range(len(tasks)):
        threading.Thread(target=run, args=(place,), daemon=True).start()
    with done:
        done.wait_for(lambda: len(findings) == len(tasks), TOTAL_TIMEOUT)
        finished = dict(findings)
    for place, task in enumerate(tasks):
        yield finished.get(place) or problem(
            f"{task.name}: {task.endpoint}: no result within {TOTAL_TIMEOUT:g} s", _ADVICE
        )
