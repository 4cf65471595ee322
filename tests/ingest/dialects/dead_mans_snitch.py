"""Dead Man's Snitch."""

from exporter.ingest.dialects.dead_mans_snitch import DeadMansSnitchDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

FORM = ((b"content-type", b"application/x-www-form-urlencoded"),)

ENTRY = Entry(
    DeadMansSnitchDialect(),
    good=[
        Asked("/snitch/{token}", query=b"m=done&s=0"),
        Asked("/snitch/{token}/", "POST", headers=FORM, body=b"m=done&s=1"),
        Asked("/snitch/{token}", "HEAD"),
    ],
    wrong=[Asked("/snitch/{secret}"), Asked("/snitch/job"), Asked("/snitch/job/{secret}")],
    body=Asked("/snitch/{token}", "POST"),
)
