"""Listening sockets and the limit of open descriptors."""

import contextlib
import ctypes
import errno
import fcntl
import resource
import socket
import struct
import termios
from collections.abc import Sequence
from typing import Any

from exporter.core.errors import InvalidValue

DESCRIPTORS = 65_536
"""The soft limit is raised to the hard one, up to this number: some programs iterate over every possible descriptor."""
RESERVE = 128
"""Descriptors reserved for the database, the spool, notifiers and the log."""
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_TRIES = 10


def raise_descriptor_limit() -> int:
    """Raises the limit of open descriptors of this process and its children, and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < target:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def connections_for(descriptors: int, most: int) -> int:
    """Returns how many connections may be open: at most `most`, with RESERVE left, or half of a very low limit."""
    return max(1, min(most, max(descriptors - RESERVE, descriptors // 2)))


def bind(listen_address: str) -> list[socket.socket]:
    """Returns sockets that are bound to HOST:PORT and do not listen yet. Raises OSError.

    Without a host, and for `[::]`, there are two sockets, for IPv4 and IPv6: one socket for both would report IPv4
    clients with addresses that match no network of trusted proxies. Without a host, a machine does not need IPv6. A
    name stands for all its addresses, at least one of which must belong to this machine.
    """
    host, _, text = listen_address.rpartition(":")
    port = int(text)
    if host == "":
        return _bind_all([(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")], port, needed=1)  # noqa: S104
    if host == "[::]":
        return _bind_all([(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")], port, needed=1)  # noqa: S104
    infos = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in infos))
    return _bind_all(addresses, port, needed=0)


def bind_or_explain(listen_address: str) -> Any:
    """As `bind`; raises InvalidValue with the reason and the way out."""
    try:
        return bind(listen_address)
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidValue(
            f"cannot listen on {listen_address}: {reason}; choose another --web.listen-address"
        ) from None


def _bind_all(addresses: Sequence[tuple[int, str]], port: int, needed: int) -> list[socket.socket]:
    """Binds the addresses: the first `needed`, and at least one, must succeed. Port 0 becomes one port for all."""
    for attempt in range(_TRIES):
        bound: list[socket.socket] = []
        missing: OSError | None = None
        taken = port
        try:
            for number, (family, host) in enumerate(addresses):
                try:
                    bound.append(_bind_one(family, host, taken))
                except OSError as error:
                    if number < needed or error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                        raise
                    missing = error
                taken = bound[0].getsockname()[1] if bound else port
        except OSError as error:
            for listener in bound:
                listener.close()
            if port == 0 and error.errno == errno.EADDRINUSE and attempt + 1 < _TRIES:
                continue  # the port of one family is in use in the other
            raise
        if not bound:
            assert missing is not None
            raise missing
        return bound
    raise AssertionError("the last attempt returns or raises")


def _bind_one(family: int, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def refuse_new_connections(listener: socket.socket) -> None:
    """Drops new connection attempts, but keeps connections that the kernel has accepted.

    Closing the socket would reset the latter, with their requests. Clients of dropped attempts retry after a second,
    and reach either the next process or a closed port. Works on Linux only; does nothing elsewhere.
    """
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def take_connections_again(listener: socket.socket) -> None:
    """Undoes `refuse_new_connections`: the next worker inherits the socket with its filter."""
    with contextlib.suppress(OSError):  # usually there is no filter
        listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def in_kernel(connected: Any) -> int:
    """Returns the number of written bytes that the peer has not acknowledged; 0 if it is unknown."""
    try:
        answer = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def reset_on_close(connected: Any) -> None:
    """Makes close() discard unsent data, which the kernel would otherwise keep for a client that never reads."""
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
