"""Gatus' external endpoints."""

from exporter.ingest.dialects.gatus import GatusDialect
from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

SECRET = ((b"authorization", b"Bearer {secret}"),)
TOKEN = ((b"authorization", b"bearer {token}"),)
URL = "/api/v1/endpoints/job/external"
GOOD = b"success=true"

ENTRY = Entry(
    GatusDialect(),
    good=[
        Asked(URL, "POST", GOOD, SECRET),
        Asked(URL, "POST", GOOD, TOKEN),
        Asked("/api/v1/endpoints/_job/external/", "POST", b"success=false&error=no&duration=1m", TOKEN),
    ],
    wrong=[
        Asked(URL, "POST", GOOD, ((b"authorization", b"Bearer job"),)),
        Asked("/api/v1/endpoints/nobody/external", "POST", GOOD, SECRET),
    ],
    denied=401,
    body=Asked(URL, "POST", GOOD, SECRET),
    methods=("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "STRANGE"),
    refused=[
        (Asked(URL, "POST", b"", SECRET), 400),
        (Asked(URL, "POST", b"success=yes", SECRET), 400),
        (Asked(URL, "POST", GOOD + b"&duration=fast", SECRET), 400),
        (Asked(URL, "POST", GOOD), 401),
        (Asked(URL, "POST", GOOD, ((b"authorization", b"Basic {basic}"),)), 401),
        (Asked(URL, "POST", GOOD, ((b"authorization", b"Bearer"),)), 401),
        (Asked(URL, "POST", GOOD, ((b"authorization", b"Bearer "),)), 401),
    ],
)
