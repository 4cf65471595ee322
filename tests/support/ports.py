"""Ports for the servers of tests."""

import os
import socket
from collections import deque

MAX_RESERVED = 64
_reserved: deque[int] = deque()
"""Descriptors of bound sockets; plain numbers, which nothing closes or complains about at the end of the process."""


def free_port() -> int:
    """A port of 127.0.0.1 that no other process gets meanwhile, though no server listens on it yet.

    A socket stays bound to it without listening. So the kernel gives it to no other socket that asks for any port, nor
    to a client; a server that sets SO_REUSEADDR, as all of them do, may listen on it, and again after a restart.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        _reserved.append(holder.detach())
    while len(_reserved) > MAX_RESERVED:
        os.close(_reserved.popleft())
    return port
