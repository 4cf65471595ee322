"""Pushgateway's pushes."""

from exporter.ingest.dialects.pushgateway import PushgatewayDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

URL = "/metrics/job/job"
BASIC = ((b"authorization", b"Basic {basic}"),)
BEARER = ((b"authorization", b"Bearer {secret}"),)

ENTRY = Entry(
    PushgatewayDialect(),
    good=[
        Asked(URL, "PUT", headers=BASIC, body=b"size 1\n"),
        Asked(URL, "POST", headers=BEARER, body=b"size 1\n"),
        Asked(f"{URL}/instance/a%2Fb/", "PUT", headers=BASIC),
        Asked("/metrics/job@base64/am9i/instance@base64/=", "POST", headers=BASIC),
    ],
    wrong=[
        Asked(URL, "PUT"),
        Asked(URL, "PUT", headers=((b"authorization", b"Basic ///"),)),
        Asked(URL, "DELETE", headers=((b"authorization", b"Bearer nothing"),)),
        Asked("/metrics/job/nobody", "PUT", headers=BASIC),
    ],
    denied=401,
    methods=("GET", "HEAD", "PATCH", "OPTIONS", "STRANGE"),
    refused=[
        (Asked(URL, "PUT", headers=BASIC, body=b"up 1\n"), 400),
        (Asked(URL, "PUT", headers=BASIC, body=b"no metrics\n"), 400),
        (Asked(f"{URL}/instance", "PUT", headers=BASIC), 400),
        (Asked(f"{URL}/__x/1", "PUT", headers=BASIC), 400),
        (Asked("/metrics/job/a%20b", "PUT", headers=BASIC), 400),
        (Asked(URL, "PUT", headers=(*BASIC, (b"content-encoding", b"snappy")), body=b"x"), 415),
    ],
)
