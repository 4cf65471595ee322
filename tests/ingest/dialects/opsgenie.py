"""Opsgenie's heartbeats."""

from exporter.ingest.dialects.opsgenie import OpsgenieDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

URL = "/v2/heartbeats/job/ping"
KEY = ((b"authorization", b"GenieKey {secret}"),)

ENTRY = Entry(
    OpsgenieDialect(),
    good=[
        Asked(URL, headers=KEY),
        Asked(f"{URL}/", "PUT", headers=((b"authorization", b"Basic {basic}"),)),
        Asked(URL, "PATCH", b"apiKey={secret}"),
        Asked(URL, "POST", b"apiKey={secret}", ((b"authorization", b"Bearer of-a-proxy"),)),
        Asked(URL, headers=((b"authorization", b"Bearer {secret}"),)),
    ],
    wrong=[
        Asked(URL),
        Asked(URL, headers=((b"authorization", b"GenieKey"),)),
        Asked(URL, headers=((b"authorization", b"Basic ///"),)),
        Asked("/v2/heartbeats/nobody/ping", headers=KEY),
    ],
    denied=401,
    body=Asked(URL, "POST", headers=KEY),
    methods=("HEAD", "DELETE", "OPTIONS", "STRANGE"),
    varying=rb'"requestId": ?"[0-9a-f-]{36}"',
)
