"""Cronitor's telemetry."""

from exporter.ingest.dialects.cronitor import CronitorDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

ENTRY = Entry(
    CronitorDialect(),
    good=[
        Asked("/p/{secret}/job"),
        Asked("/p/{secret}/job/complete/", "POST"),
        Asked("/p/{secret}/job", "HEAD", query=b"state=run&series=1"),
        Asked("/ping/{secret}/job", query=b"stamp=1.5"),
        Asked("/ping/{secret}/job", query=b"state=fail"),
        Asked("/ping/{secret}/job/run"),
        Asked("/ping/{secret}/job/fail", query=b"state=fail"),
    ],
    wrong=[
        Asked("/p/{secret}/nobody"),
        Asked("/p/{secret}"),
        Asked("/p/job/{secret}"),
        Asked("/p/{token}/job"),
        Asked("/ping/{secret}/nobody", query=b"state=ok"),
        Asked("/p/{secret}/nobody/fial"),
    ],
    body=Asked("/p/{secret}/job", "POST"),
    refused=[
        (Asked("/p/{secret}/job/fial"), 400),
        (Asked("/p/{secret}/job/run/twice"), 400),
        (Asked("/p/{secret}/job", query=b"state=fial"), 400),
    ],
)
