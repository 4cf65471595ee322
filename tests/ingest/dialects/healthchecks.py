"""Healthchecks' pings."""

from exporter.ingest.dialects.healthchecks.dialect import HealthchecksDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

RID = b"rid=0b6f9d3a-1111-4222-8333-0123456789ab"

ENTRY = Entry(
    HealthchecksDialect(),
    good=[
        Asked("/ping/{token}"),
        Asked("/ping/{token}/", "POST"),
        Asked("/ping/{token}/fail", "HEAD"),
        Asked("/ping/{token}/7", query=RID),
        Asked("/ping/{secret}/job"),
        Asked("/ping/{secret}/job/start", "POST", query=RID),
        Asked("/ping/{secret}/job/0", query=b"create=1"),
        Asked("/ping/{secret}/job/", "HEAD"),
    ],
    wrong=[
        Asked("/ping/{secret}"),
        Asked("/ping/job"),
        Asked("/ping/{token}/job"),
        Asked("/ping/{secret}/nobody"),
        Asked("/ping/{secret}/nobody", query=b"create=1"),
        Asked("/ping/job/{secret}"),
        Asked("/ping/{secret}//"),
    ],
    body=Asked("/ping/{token}", "POST"),
    methods=("PUT", "DELETE", "PATCH", "OPTIONS", "STRANGE"),
    refused=[
        (Asked("/ping/{token}/256"), 400),
        (Asked("/ping/{secret}/job/99999999999999999999"), 400),
        (Asked("/ping/{token}", query=b"rid=7"), 400),
        (Asked("/ping/{secret}/job", query=b"create=1&rid="), 400),
    ],
)
