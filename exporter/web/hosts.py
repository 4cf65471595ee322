"""Under which names pages and API answer while no credentials are configured.

A page of another site can have its own name lead to this machine (DNS rebinding): the browser then lets that page read
what we answer. It cannot have an address, a name without a dot or one of ours lead there, so those are safe.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

import falcon

from exporter.config.settings import WebSettings

MISDIRECTED = "421 Misdirected Request"


class Hosts:
    """Lives on the event loop."""

    def __init__(self, settings: Callable[[], WebSettings], full_name: Callable[[], str] = socket.getfqdn) -> None:
        """`full_name` may ask the resolver, and so take its time."""
        self._settings = settings
        self._full_name = full_name
        self._own: frozenset[str] | None = None

    async def check(self, header: str) -> None:
        """Raises 421 for a `Host` that another site may have chosen."""
        host = name_in(header)
        if host is not None and (_is_safe(host) or host in self._named() or host in await self._own_names()):
            return
        raise falcon.HTTPError(
            MISDIRECTED,
            description="The service does not recognise this host name as its own. Set web.external_url or "
            "web.allowed_hosts in the configuration, or web.auth.token.",
        )

    def _named(self) -> set[str]:
        web = self._settings()
        names = {name_in(host) for host in web.allowed_hosts}
        if web.external_url:
            names.add(name_in(urlsplit(web.external_url).netloc))
        return {name for name in names if name}

    async def _own_names(self) -> frozenset[str]:
        """The machine's, asked for once, when a name comes that nothing else explains."""
        if self._own is None:
            full_name = await asyncio.get_running_loop().run_in_executor(None, self._full_name)
            short = os.uname().nodename
            names = (name_in(name) for name in (short, full_name, f"{short.partition('.')[0]}.local"))
            self._own = frozenset(name for name in names if name)
        return self._own


def name_in(header: str) -> str | None:
    """The host of a `Host` header or an authority, as names are compared; None when it is none."""
    text = header.strip().lower()
    if text.startswith("["):
        address, bracket, port = text[1:].partition("]")
        return address if bracket and (not port or _is_port(port)) and ":" in address else None
    name, colon, port = text.partition(":")
    if colon and not (port == "" or _is_port(f":{port}")):
        return None
    name = name.removesuffix(".")
    return name if name and all(c.isascii() and (c.isalnum() or c in "-._") for c in name) else None


def _is_port(text: str) -> bool:
    return text[:1] == ":" and (len(text) == 1 or (text[1:].isascii() and text[1:].isdigit() and len(text) <= 6))


def _is_safe(host: str) -> bool:
    if "." not in host and ":" not in host:
        return True
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
