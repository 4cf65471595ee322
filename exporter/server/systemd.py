"""State of the service for systemd (`Type=notify`): a datagram to the socket that the environment names."""

import logging
import os
import socket
import time

log = logging.getLogger(__name__)

VARIABLE = "NOTIFY_SOCKET"
READY = "READY=1\nSTATUS=Ready"
STOPPING = "STOPPING=1"


def take_address() -> str | None:
    """The socket's address, taken out of the environment: gunicorn would say that it is ready as soon as it listens."""
    return os.environ.pop(VARIABLE, None)


def reloading() -> str:
    """The state during a reload; `READY` ends it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def notify(address: str | None, state: str) -> None:
    """Sends a state; does nothing where systemd did not ask for it, and only logs an error."""
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address  # in the abstract namespace
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
            sending.setblocking(False)
            sending.sendto(state.encode(), name)
    except OSError as error:
        log.warning("systemd cannot be notified: %s", error.strerror or error)
