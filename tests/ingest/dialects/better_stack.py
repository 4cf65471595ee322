"""Better Stack's heartbeats."""

from exporter.ingest.dialects.better_stack import BetterStackDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

URL = "/api/v1/heartbeat/{token}"

ENTRY = Entry(
    BetterStackDialect(),
    good=[Asked(URL), Asked(f"{URL}/", "POST"), Asked(f"{URL}/fail", "HEAD"), Asked(f"{URL}/3", "POST")],
    wrong=[
        Asked("/api/v1/heartbeat/{secret}"),
        Asked("/api/v1/heartbeat/job"),
        Asked("/api/v1/heartbeat/job/{secret}"),
        Asked("/api/v1/heartbeat/job/fial"),
    ],
    body=Asked(URL, "POST"),
    refused=[(Asked(f"{URL}/fial"), 404), (Asked(f"{URL}/fail/1"), 404)],
)
