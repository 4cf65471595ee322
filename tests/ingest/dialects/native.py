"""Our own protocol."""

from exporter.ingest.dialects.native import NativeDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

ENTRY = Entry(
    NativeDialect(),
    good=[
        Asked("/ext/heartbeat/job:{secret}"),
        Asked("/ext/heartbeat/job/{secret}/"),
        Asked("/ext/heartbeat/job", headers=((b"authorization", b"Bearer {secret}"),)),
        Asked("/ext/heartbeat/job:{secret}", "POST"),
        Asked("/ext/heartbeat/job:{secret}", "HEAD"),
    ],
    wrong=[Asked("/ext/heartbeat/job"), Asked("/ext/heartbeat/job:"), Asked("/ext/heartbeat/nobody:{secret}")],
    body=Asked("/ext/heartbeat/job:{secret}", "POST"),
    refused=[(Asked("/ext/heartbeat/job:{secret}/fial"), 404)],
)
