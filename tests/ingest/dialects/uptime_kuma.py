"""Uptime Kuma's push monitors."""

from exporter.ingest.dialects.uptime_kuma import UptimeKumaDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

ENTRY = Entry(
    UptimeKumaDialect(),
    good=[
        Asked("/api/push/{token}", query=b"status=up&msg=OK&ping="),
        Asked("/api/push/{token}/", "POST"),
        Asked("/api/push/{token}", "PUT"),
        Asked("/api/push/{token}", "HEAD", query=b"status=down"),
    ],
    wrong=[Asked("/api/push/{secret}"), Asked("/api/push/job"), Asked("/api/push/job/{secret}")],
    body=Asked("/api/push/{token}", "POST"),
    methods=("PATCH", "DELETE", "OPTIONS", "STRANGE"),
)
