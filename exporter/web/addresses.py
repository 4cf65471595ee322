"""Under which URL this service is reached: for the ping URLs that people copy."""

import re
from collections.abc import Callable

from exporter.config.settings import WebSettings
from exporter.web.proxies import client_scheme
from exporter.web.requests import WebRequest

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def base_url(req: WebRequest, settings: Callable[[], WebSettings]) -> str:
    """`external_url`, else what the client itself used; without a trailing slash."""
    web = settings()
    if web.external_url:
        return web.external_url.rstrip("/")
    host = req.get_header("Host") or ""
    if not _HOST.fullmatch(host):
        host = web.listen_address
    scheme = client_scheme(req.peer, req.scheme, req.get_header("X-Forwarded-Proto"), web.trusted_proxies)
    return f"{scheme}://{host}"


def ping_url(base: str, tag: str, secret: str) -> str:
    """A tag needs no escaping in a URL."""
    return f"{base}/ext/heartbeat/{tag}:{secret}"
