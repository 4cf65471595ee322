"""Entity tags: a reader that has the very same answer is not sent it again (RFC 9110)."""

import hashlib

import falcon
import falcon.asgi

from exporter.web.requests import WebRequest


def answer_unless_known(req: WebRequest, resp: falcon.asgi.Response, body: bytes) -> None:
    """Answers with `body` and its tag, or with 304 when the request names that tag."""
    resp.etag = tag = hashlib.blake2b(body, digest_size=16).hexdigest()
    if _knows(req.get_header("If-None-Match"), tag):
        resp.status = falcon.HTTP_304
        resp.data = None
    else:
        resp.data = body


def _knows(if_none_match: str | None, tag: str) -> bool:
    """Whether the reader has this very one. Compared weakly, as RFC 9110 has it for this header."""
    return if_none_match is not None and (if_none_match.strip() == "*" or f'"{tag}"' in if_none_match)
