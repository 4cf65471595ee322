"""Access control: tokens, and no writing requests from the pages of other sites."""

import hmac
import logging
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from enum import Enum, auto
from urllib.parse import urlsplit

import falcon

from exporter.config.settings import Secret, WebSettings
from exporter.ingest.guesses import Guesses
from exporter.web.hosts import Hosts
from exporter.web.proxies import client_address
from exporter.web.requests import WebRequest

CHALLENGES = ('Basic realm="Heartbeat Exporter", charset="UTF-8"', 'Bearer realm="Heartbeat Exporter"')


class Access(Enum):
    """The credentials that a route requires."""

    OPEN = auto()
    """None: probes, static files, and heartbeats, which carry their own secret."""
    GUARDED = auto()
    """Holders of `web.auth.token`; without one configured, every client may read and none may change anything, and only
    under a name that no other site can have chosen."""
    RELOAD = auto()
    """Holders of `web.auth.token`; without one configured, none: it only re-reads the service's own file."""
    METRICS = auto()
    """Holders of `web.auth.metrics_token`, if one is configured."""


class AccessControl:
    """Lets a request pass, or raises what it is answered with."""

    def __init__(self, settings: Callable[[], WebSettings], guesses: Guesses) -> None:
        self._settings = settings
        self._guesses = guesses
        self._hosts = Hosts(settings)

    async def check_host(self, access: Access, req: WebRequest) -> None:
        """While there is no token, the name by which it is called is all that keeps other sites' pages out."""
        if access in (Access.GUARDED, Access.RELOAD) and self._settings().auth.token is None:
            host = req.get_header("Host")
            if host is not None:  # a browser always sends one
                await self._hosts.check(host)

    async def check(self, access: Access, req: WebRequest, changes: bool) -> None:
        """`changes` says whether the request would change something."""
        auth = self._settings().auth
        if access is Access.METRICS:
            await self._check_token(auth.metrics_token, req)
        elif access is not Access.OPEN:
            await self._check_token(auth.token, req)
            if changes:
                _check_origin(req)
                if auth.token is None and access is Access.GUARDED:
                    raise falcon.HTTPForbidden(
                        description="The API accepts no changes until web.auth.token is set in the configuration."
                    )

    async def _check_token(self, token: Secret | None, req: WebRequest) -> None:
        if token is None:
            return
        given = _given(req.auth)
        if given is not None and hmac.compare_digest(given, token.reveal().encode("utf-8", "surrogatepass")):
            return
        if given is not None:
            settings = self._settings()
            peer = client_address(req.peer, req.get_header("X-Forwarded-For"), settings.trusted_proxies)
            await self._guesses.slow(peer)
            self._guesses.tell("a wrong token was given", peer, logging.WARNING)
        raise falcon.HTTPUnauthorized(
            description="A token is required: Authorization: Bearer <token>, or Basic with the token as password.",
            challenges=CHALLENGES,
        )


def _given(authorization: str | None) -> bytes | None:
    """The token in the header, as bytes; None when there is none that can be read."""
    scheme, _, credentials = (authorization or "").partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials.encode("latin-1")
    if scheme.lower() == "basic":
        try:
            _, colon, password = b64decode(credentials, validate=True).partition(b":")
        except (Base64Error, ValueError):
            return None
        return password if colon else None
    return None


def _check_origin(req: WebRequest) -> None:
    """A browser sends a kept Basic password along with requests that another site makes it send."""
    site = req.get_header("Sec-Fetch-Site")
    origin = req.get_header("Origin")
    if site is not None:
        same = site.strip().lower() in ("same-origin", "none")
    else:
        same = origin is None or _host(origin) == (req.get_header("Host") or "").lower()
    if not same:
        raise falcon.HTTPForbidden(description="A page of another site cannot make this request.")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
