"""The native dialect: which URL means what, and that nothing but the secret decides whether a heartbeat counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.heartbeat import Kind
from exporter.core.secret import make_secret
from exporter.core.telemetry import RejectReason
from exporter.ingest.body import KEPT
from exporter.ingest.credentials import Credentials, Grant
from exporter.ingest.dialects import DIALECTS, all_dialects
from exporter.ingest.dialects.native import NativeDialect
from exporter.ingest.errors import IngestError
from exporter.ingest.intake import Beat
from tests.support.ingest import KEY, fleet_of, handle, monitor

SECRET = "s3cret:with~odd-chars"  # a colon in a secret is its own business
WATCHED = monitor(1, "job", SECRET)


def answered(
    rest: str, query: str = "", authorization: str | None = None, body: bytes = b""
) -> tuple[Beat, dict[str, str]]:
    """The one heartbeat, and the answer."""
    response, beats = handle(NativeDialect(), fleet_of(WATCHED), rest, query, authorization, body)
    assert len(beats) == 1
    assert response.status == 200
    content: dict[str, str] = json.loads(response.body)
    assert content.pop("status") == "OK"
    return beats[0], content


def read(rest: str, query: str = "", authorization: str | None = None, body: bytes = b"") -> Beat:
    return answered(rest, query, authorization, body)[0]


@pytest.mark.parametrize(
    ("suffix", "kind", "exit_code"),
    [
        ("", Kind.SUCCESS, None),
        ("/", Kind.SUCCESS, None),
        ("/start", Kind.START, None),
        ("/fail", Kind.FAILURE, None),
        ("/log", Kind.LOG, None),
        ("/log/", Kind.LOG, None),
        ("/0", Kind.SUCCESS, 0),
        ("/-0", Kind.SUCCESS, 0),
        ("/3", Kind.FAILURE, 3),
        ("/256", Kind.FAILURE, 256),
        ("/-1", Kind.FAILURE, -1),
        ("/3221225786", Kind.FAILURE, 3221225786),
        ("/" + "9" * 40, Kind.FAILURE, None),
    ],
)
def test_every_form_and_suffix(suffix: str, kind: Kind, exit_code: int | None) -> None:
    for beat in (
        read(f"job:{SECRET}{suffix}"),
        read(f"job/{SECRET}{suffix}"),
        read(f"job{suffix}", authorization=f"Bearer {SECRET}"),
        read(f"job{suffix}", authorization=f"bearer  {SECRET} "),
    ):
        assert beat.monitor is WATCHED
        assert (beat.kind, beat.exit_code) == (kind, exit_code)


def test_a_foreign_authorization_header_spoils_nothing() -> None:
    for header in ("Bearer something-else", "Basic dXNlcjpwYXNz", "", "Bearer", "Bearer "):
        assert read(f"job:{SECRET}/fail", authorization=header).kind is Kind.FAILURE
        assert read(f"job/{SECRET}/fail", authorization=header).kind is Kind.FAILURE


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "/",
        "job",
        "job:",
        "job/",
        "job:wrong",
        f"other:{SECRET}",
        f":{SECRET}",
        f"JOB:{SECRET}",
        f"job:{SECRET}x",
        "job:wrong/fail",
        "x" * 10_000,
        "job:" + "x" * 10_000,
        "job\0:x",
        "jöb:ü",
        "\udcff:\udcff",
    ],
)
def test_wrong_is_wrong(rest: str) -> None:
    with pytest.raises(IngestError) as raised:
        read(rest)
    assert raised.value.hint is None
    assert rest == "" or rest == "/" or len(rest) < 4 or rest not in str(raised.value)


@pytest.mark.parametrize("suffix", ["/fial", "/START", "/1.5", "/0x1", "/start/again", "/\u0663"])
def test_an_unknown_suffix_is_no_success_and_only_those_who_know_the_secret_are_told(suffix: str) -> None:
    with pytest.raises(IngestError) as raised:
        read(f"job:{SECRET}{suffix}")
    assert raised.value.reason is RejectReason.UNKNOWN_SUFFIX
    assert raised.value.hint is not None
    with pytest.raises(IngestError) as raised:
        read(f"job:wrong{suffix}")
    assert raised.value.hint is None


@pytest.mark.parametrize(
    ("query", "rid", "warned"),
    [
        ("rid=a-1.b_2", "a-1.b_2", False),
        ("x=1&rid=7", "7", False),
        ("rid=a&rid=b", "a", True),
        ("rid=", "", True),
        ("rid=a%20b", "", True),
        ("rid=%ff%00", "", True),
        ("rid=" + "x" * 65, "", True),
        ("&&=&;%", "", False),
        ("other=%zz", "", False),
    ],
)
def test_rid(query: str, rid: str, warned: bool) -> None:
    beat, answer = answered(f"job:{SECRET}/start", query)
    assert beat.rid == rid
    assert ("warning" in answer) is warned


def test_a_long_body_is_cut_and_said_to_be() -> None:
    beat, answer = answered(f"job:{SECRET}", body=b"begin" + b"x" * KEPT + b"end")
    assert beat.output.startswith("begin")
    assert beat.output.endswith("end")
    assert "\n[… 8 bytes are missing here …]\n" in beat.output
    assert "10 kB" in answer["warning"]
    assert answered(f"job:{SECRET}", body=b"x" * KEPT)[1] == {}


@given(st.text(), st.none() | st.text(), st.binary(max_size=200))
def test_no_query_header_or_body_makes_a_good_heartbeat_fail(query: str, header: str | None, body: bytes) -> None:
    beat = read(f"job:{SECRET}", query, header, body)
    assert "\0" not in beat.output
    beat.output.encode()


@given(st.text(max_size=60), st.none() | st.text(max_size=60))
def test_whoever_does_not_know_the_secret_gets_nothing(rest: str, header: str | None) -> None:
    with pytest.raises(IngestError):
        read(rest, authorization=header)


def test_an_unknown_tag_is_worked_on_like_a_wrong_secret() -> None:
    credentials = Credentials(fleet_of(WATCHED), KEY)
    assert credentials.check(SECRET, "job") == Grant("job", WATCHED)
    assert credentials.check("x", "job") is RejectReason.WRONG_SECRET
    assert credentials.check(SECRET, "nobody") is RejectReason.UNKNOWN_TAG
    assert credentials.check("", "nobody") is RejectReason.UNKNOWN_TAG


def test_secrets_are_long_and_fit_a_url() -> None:
    made = {make_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 32 and one.replace("-", "").replace("_", "").isalnum() for one in made)


def test_every_dialect_has_a_name_and_routes_of_its_own() -> None:
    dialects = all_dialects()
    assert len(dialects) >= len(DIALECTS)
    assert len({dialect.name for dialect in dialects}) == len(dialects)
    for dialect in dialects:
        assert dialect.routes
