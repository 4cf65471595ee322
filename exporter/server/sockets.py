"""Sockets that listen and descriptors that are left: what the operating system gives, and how it is asked."""

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
"""The soft limit is raised to the hard one, up to this many: some programs look at each possible one."""
RESERVE = 128
"""Descriptors kept from clients for the database, the spool, notifiers and log."""
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_TRIES = 10


def raise_descriptor_limit() -> int:
    """The limit of open descriptors that is in force from now on, for this process and its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def connections_for(descriptors: int, most: int) -> int:
    """How many connections may be open: at most `most`, with RESERVE left, or half of a limit that is very low."""
    return max(1, min(most, max(descriptors - RESERVE, descriptors // 2)))


def bind(listen_address: str) -> list[socket.socket]:
    """Sockets bound to HOST:PORT, not listening yet; raises OSError.

    Without a host, and for `[::]`, they are two, for IPv4 and IPv6: one socket for both would show IPv4 clients by
    addresses that no network of trusted proxies holds. Without a host a machine without IPv6 is none the worse. A
    name is all its addresses, of which one at least has to be this machine's.
    """
    host, _, text = listen_address.rpartition(":")
    port = int(text)
    if host == "":
        return _bind_all([(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")], port, needed=1)  # noqa: S104
    if host == "[::]":
        return _bind_all([(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")], port, needed=1)  # noqa: S104
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
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
    """The first `needed` of them have to be there, and at least one; port 0 becomes the same port for all."""
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
            for one in bound:
                one.close()
            if port == 0 and error.errno == errno.EADDRINUSE and attempt + 1 < _TRIES:
                continue  # the port that one family gave is taken in the other
            raise
        if not bound:
            assert missing is not None
            raise missing
        return bound
    raise AssertionError("the last attempt returns or raises")


def _bind_one(family: int, host: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((host, port))
    except OSError:
        one.close()
        raise
    return one


def refuse_new_connections(listener: socket.socket) -> None:
    """Drops connection attempts from now on, but keeps those that the kernel has accepted.

    Closing the socket would reset the latter, with their requests. The clients of the dropped ones try again after a
    second, and find either the next process or a closed port. Linux only; elsewhere nothing is done.
    """
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def take_connections_again(listener: socket.socket) -> None:
    """Undoes `refuse_new_connections`: the socket outlives its worker, and the next one inherits it deaf."""
    with contextlib.suppress(OSError):  # most often: there is no filter
        listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def in_kernel(connected: Any) -> int:
    """Bytes that were written to this socket and that its other end has not acknowledged; 0 if that is not known."""
    try:
        answer = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def reset_on_close(connected: Any) -> None:
    """Closing this socket frees what it has not sent; else the kernel would keep that for a client that never reads."""
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
