"""Requests to the service, and what becomes of them."""

from __future__ import annotations

import time

from exporter.run.destination import Destination, Misconfigured
from exporter.run.notices import notice, reason_of
from exporter.run.options import VERSION
from exporter.run.reports import MAX_AGE, RunReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Delivery:
    """What became of one attempt to deliver a report."""

    def __init__(
        self,
        delivered: bool = False,
        final: bool = False,
        lost: bool = False,
        reason: str = "",
        pause: float = 0.0,
    ) -> None:
        self.delivered = delivered
        self.final = final
        """Whether another attempt would not help."""
        self.lost = lost
        """Whether no later run could deliver it either."""
        self.reason = reason
        self.pause = pause
        """Seconds that the service asked to wait."""


class ServiceClient:
    """Sends reports of one monitor to the service."""

    def __init__(self, tag: str, config: str | None) -> None:
        """`config` is the file that the command line names for URL and secret."""
        self._tag = tag
        self._config = config
        self._destination: Destination | None = None
        self._opener: Any = None

    def send(self, report: RunReport, seconds: float) -> Delivery:
        """Sends one request; each wait in it takes `seconds` at most, and an answer has any number of them."""
        import http.client
        import ssl
        import urllib.error
        import urllib.parse
        import urllib.request

        if self._destination is None:
            try:
                self._destination = Destination(self._tag, self._config)
            except Misconfigured as error:
                return Delivery(final=True, reason=str(error))
        destination = self._destination
        if self._opener is None:
            self._opener = urllib.request.build_opener(redirects(destination.host))
        query = urllib.parse.urlencode(report.query())
        suffix = f"/{report.suffix}" if report.suffix else ""
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            f"{destination.url}{suffix}?{query}",
            data=report.body,
            headers={
                "Authorization": f"Bearer {destination.secret}",
                "Content-Type": report.content_type,
                "User-Agent": f"heartbeat-run/{VERSION}",
            },
        )
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                warning = warning_of(answer.read(65_536))
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            inner = getattr(error, "reason", error)
            final = isinstance(inner, ssl.SSLCertVerificationError) or isinstance(error, ValueError)
            return Delivery(final=final, reason=reason_of(error))
        if warning:
            notice(f"{self._tag}: the service warns: {warning}")
        return Delivery(delivered=True)

    def _refused(self, error: Any) -> Delivery:
        reason = f"the service answered {error.code}"
        if error.code >= 500 or error.code in (408, 425, 429):
            return Delivery(reason=reason, pause=seconds_until(error.headers.get("Retry-After")))
        if error.code == 404:
            reason += " (unknown monitor or wrong secret)"
        elif 300 <= error.code < 400:
            reason += " (a redirection that would send the secret elsewhere)"
        # Credentials may be put right before the next run; what is malformed never will.
        lost = 400 <= error.code < 500 and error.code not in (401, 403, 404, 407)
        return Delivery(final=True, lost=lost, reason=reason)


def redirects(host: str | None) -> Any:
    """Makes a handler that follows redirects of the same host with method and body, as from http to https."""
    import urllib.request
    from urllib.parse import urlsplit

    class SameHostRedirects(urllib.request.HTTPRedirectHandler):
        """Never sends the secret to another host, nor from https to http."""

        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            target = urlsplit(newurl)
            if target.hostname != host or target.scheme not in ("https", req.type):
                return None
            return urllib.request.Request(newurl, data=req.data, headers=req.headers)  # noqa: S310

        http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302

    return SameHostRedirects


def warning_of(answer: bytes) -> str:
    import json

    if b'"warning"' not in answer:
        return ""
    try:
        warning = json.loads(answer)["warning"]
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(warning).split())[:500]


def seconds_until(retry_after: str | None) -> float:
    """Reads Retry-After: seconds or a moment; 0 is no request to wait."""
    from email.utils import parsedate_to_datetime

    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_AGE)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - time.time()), MAX_AGE)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
