"""Alertmanager's webhook."""

from exporter.ingest.dialects.alertmanager import AlertmanagerDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

FIRING = b'{"alerts": [{"status": "firing", "labels": {"alertname": "Watchdog"}}]}'
URL = "/api/v1/alertmanager/job"

ENTRY = Entry(
    AlertmanagerDialect(),
    good=[
        Asked(f"{URL}/{{secret}}", "POST", body=FIRING),
        Asked(URL, "POST", headers=((b"authorization", b"Bearer {secret}"),), body=FIRING),
    ],
    wrong=[Asked(URL, "POST", body=FIRING), Asked("/api/v1/alertmanager/nobody/{secret}", "POST", body=FIRING)],
    methods=("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "STRANGE"),
    refused=[(Asked(f"{URL}/{{secret}}", "POST", body=b"{"), 400)],
)
