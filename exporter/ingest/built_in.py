"""The routes of our own dialects, for the log's redaction: processes that take no heartbeats must not load dialects."""

from exporter.ingest.routes import Route

NATIVE = (Route(("GET", "POST", "HEAD"), "/ext/heartbeat/{rest*}"),)
ALERTMANAGER = (Route(("POST",), "/api/v1/alertmanager/{rest*}"),)
ROUTES = (*NATIVE, *ALERTMANAGER)
