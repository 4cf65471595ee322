"""Sentry's check-ins, by URL and in envelopes."""

import gzip
import json

from exporter.ingest.dialects.sentry import SentryDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

JSON = (b"content-type", b"application/json")
AUTH = (b"x-sentry-auth", b"Sentry sentry_key={secret}, sentry_version=7, sentry_client=test/1")
ID = "0b6f9d3a11114222833301234567890a"
CRON, ENVELOPE = "/api/7/cron/job", "/api/7/envelope/"


def envelope(*check_ins: object, **header: object) -> bytes:
    """With an item of another kind before them."""
    other = b'not json\n{"x":1}'
    lines = [json.dumps({"event_id": ID, **header}).encode(), b'{"type":"attachment","length":%d}' % len(other), other]
    for check_in in check_ins:
        payload = json.dumps(check_in).encode()
        lines += [b'{"type":"check_in"}', payload]
    return b"\n".join(lines)


OK = envelope({"check_in_id": ID, "monitor_slug": "job", "status": "ok", "duration": 1.5, "environment": "production"})

ENTRY = Entry(
    SentryDialect(),
    good=[
        Asked(f"{CRON}/{{secret}}/", query=b"status=ok"),
        Asked(f"{CRON}/{{secret}}", "POST", query=b"status=in_progress&check_in_id=" + ID.encode()),
        Asked(f"{CRON}/{{secret}}/", "POST", headers=(JSON,), body=b'{"status":"error","duration":3}'),
        Asked(CRON, query=b"status=ok&sentry_key={secret}"),
        Asked(f"{CRON}/", query=b"status=strange", headers=(AUTH,)),
        Asked(ENVELOPE, "POST", headers=(AUTH,), body=OK),
        Asked(ENVELOPE, "POST", headers=(AUTH, (b"content-encoding", b"gzip")), body=gzip.compress(OK)),
        Asked(ENVELOPE, "POST", query=b"sentry_version=7&sentry_key={secret}", body=OK),
    ],
    wrong=[
        Asked(CRON, query=b"status=ok"),
        Asked("/api/7/cron/nobody/{secret}", query=b"status=ok"),
        Asked(f"{CRON}/{{token}}/", query=b"status=ok"),
        Asked(ENVELOPE, "POST", body=OK),
    ],
    denied=403,
    methods=("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "STRANGE"),
    refused=[
        (Asked(f"{CRON}/{{secret}}/"), 400),
        (Asked(f"{CRON}/{{secret}}/", "POST", headers=(JSON,), body=b"{"), 400),
        (Asked(f"{CRON}/{{secret}}/", "POST", headers=(JSON,), body=b'{"status":7}'), 400),
        (Asked(f"{CRON}/{{secret}}/", "POST", headers=(JSON,), body=b'{"status":"ok","monitor_config":7}'), 400),
        (Asked(ENVELOPE, "POST", headers=(AUTH,), body=b"\xff\xfe"), 400),
        (Asked(ENVELOPE, "POST", headers=(AUTH, (b"content-encoding", b"gzip")), body=OK), 400),
        (Asked(ENVELOPE, "POST", headers=(AUTH, (b"content-encoding", b"br")), body=OK), 415),
    ],
)
