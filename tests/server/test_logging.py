"""Nothing that could be a secret leaves through the log, whoever logged it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.app import log_setup as logs
from exporter.app.log_setup import RedactingFormatter, Redactor, redact, redact_routes, set_up_logging
from exporter.ingest.routes import Route


@pytest.mark.parametrize(
    "line",
    [
        "GET /ext/heartbeat/job:SESAME HTTP/1.1",
        "GET /ext/heartbeat/job/SESAME/start?rid=1",
        "http://host:1/ext/heartbeat/job%3ASESAME",
        "%2Fext%2Fheartbeat%2Fjob:SESAME",
        "EXT/HEARTBEAT/job:SESAME",
        "POST /api/v1/alertmanager/job/SESAME?tag_label=cluster HTTP/1.1",
        "%2Fapi%2fv1%2Falertmanager%2Fjob%2FSESAME",
        "Authorization: Bearer SESAME",
        "{'authorization': 'basic SESAME=='}",
        "postgresql://user:SESAME@host/db",
        'invalid request line "POST /ext/heartbeat/job:SESAME"',
    ],
)
def test_secrets_are_taken_out(line: str) -> None:
    assert "SESAME" not in redact(line)
    assert logs.REDACTED in redact(line)


@given(st.text(alphabet="abcXYZ019-_.~!*'()", min_size=8), st.sampled_from(["", "/start", "?rid=1", " HTTP/1.1"]))
def test_any_secret_in_a_heartbeat_url_is_taken_out(secret: str, after: str) -> None:
    if "'" in secret:
        secret = secret.replace("'", "x")
    assert secret not in redact(f"seen /ext/heartbeat/job:{secret}{after} today").replace("heartbeat", "")


def test_harmless_lines_stay() -> None:
    line = "ready: 3 monitors on 127.0.0.1:10105, https://example.org/path took 3 ms"
    assert redact(line) == line


PULSE = (
    Route(("GET",), "/p/{key}/{name}", secret=("X-Api-Key", "apiKey")),
    Route(("GET",), "/api/v1/endpoints/{key}/external", public=("key",)),
)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("GET /p/SESAME/job?x=SESAME HTTP/1.1", "GET /p/<secret> HTTP/1.1"),
        ("GET %2Fp%2FSESAME%2Fjob", "GET %2Fp%2F<secret>"),
        ("GET /api/v1/endpoints/core_job/external?token=SESAME&x", "GET /api/v1/endpoints/core_job/external?<secret>"),
        ("x-api-key: SESAME", "x-api-key: <secret>"),
        ("[(b'x-api-key', b'SESAME'), (b'host', b'a')]", "[(b'x-api-key', b'<secret>'), (b'host', b'a')]"),
        ("/v2/x?apiKey=SESAME&y=1", "/v2/x?apiKey=<secret>&y=1"),
        ("Authorization: GenieKey SESAME", "Authorization: GenieKey <secret>"),
        ("/tmp/p/file is ours", "/tmp/p/<secret> is ours"),
        ("/srv/backup/file is not", "/srv/backup/file is not"),
    ],
)
def test_routes_say_what_is_secret(line: str, shown: str) -> None:
    assert Redactor(PULSE).redact(line) == shown


def test_routes_of_other_packages_are_redacted_too(output: io.StringIO) -> None:
    set_up_logging("info", "text")
    redact_routes(PULSE)
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(output)
    logging.getLogger("any").warning("refused: GET /p/SESAME/job")
    assert "GET /p/<secret>" in output.getvalue()


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    yield stream
    root.handlers, root.level = before, level


@pytest.mark.parametrize("format", ["text", "json"])
def test_arguments_extras_and_tracebacks_are_redacted(output: io.StringIO, format: str) -> None:
    set_up_logging("debug", format)
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    assert isinstance(handler.formatter, RedactingFormatter)
    handler.setStream(output)
    log = logging.getLogger("somebody.else")
    url = "/ext/heartbeat/job:SESAME"
    log.debug("path %s", url, extra={"url": url})
    secret_in_a_local_variable = "SESAME"
    try:
        raise ValueError(f"cannot read {url}, {len(secret_in_a_local_variable)}")
    except ValueError:
        log.exception("failed")
    text = output.getvalue()
    assert "SESAME" not in text
    assert "ValueError" in text
    if format == "json":
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines[0]["level"] == "debug"
        assert lines[0]["logger"] == "somebody.else"
        assert lines[0]["timestamp"].endswith("Z")
