"""Headers that limit what a browser lets an answer do."""

import falcon.asgi

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
PLAIN = (("x-content-type-options", "nosniff"), ("cache-control", "no-store"))
"""On all but static files, documents and the feed: what is true now is not true later, and some of it is behind a
token."""
HTML = (
    *PLAIN,
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
REVALIDATED = (("x-content-type-options", "nosniff"), ("cache-control", "private, no-cache"))
"""On answers with an ETag: clients may keep them, and ask each time whether they are still the same."""
STATIC = (
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
)


def answer_html(resp: falcon.asgi.Response, body: bytes) -> None:
    """Every HTML answer leaves through here, so that none goes without its headers."""
    resp.content_type = "text/html; charset=utf-8"
    resp.set_headers(HTML)
    resp.data = body
