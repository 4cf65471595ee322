"""Under which URL this service is reached: for the ping URLs that people copy."""

import re
from collections.abc import Callable

from exporter.config.settings import WebSettings
from exporter.web.proxies import client_scheme
from exporter.web.requests import WebRequest

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def base_url(req: WebRequest, settings: Callable[[], WebSettings]) -> str:
    """`external_url`, else what the client itself used; without a trailing slash."""
    return address_used(settings(), req.get_header("Host"), req.peer, req.scheme, req.get_header("X-Forwarded-Proto"))


def address_used(web: WebSettings, host: str | None, peer: str, scheme: str, forwarded_proto: str | None) -> str:
    """As `base_url`, from a request's parts."""
    if web.external_url:
        return web.external_url.rstrip("/")
    if host is None or not _HOST.fullmatch(host):
        host = web.listen_address
    return f"{client_scheme(peer, scheme, forwarded_proto, web.trusted_proxies)}://{host}"


def ping_url(base: str, tag: str, secret: str) -> str:
    """A tag needs no escaping in a URL."""
    return f"{base}/ext/heartbeat/{tag}:{secret}"
