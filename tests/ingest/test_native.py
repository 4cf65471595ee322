"""The native dialect: which URL means what, and that nothing but the secret decides whether a heartbeat counts."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.secret import digest, make_secret
from exporter.core.status import Reason, Status
from exporter.core.telemetry import RejectReason
from exporter.core.timeline import CurrentStatus
from exporter.ingest.body import KEPT, Body
from exporter.ingest.credentials import Authenticator
from exporter.ingest.dialect import Beat, IngestError, Request
from exporter.ingest.dialects import DIALECTS, all_dialects
from exporter.ingest.dialects.native import HeartbeatDialect

KEY = b"k" * 32
SECRET = "s3cret:with~odd-chars"  # a colon in a secret is its own business
WATCHED = FleetMonitor(
    1, Monitor(tag="job"), digest(SECRET, KEY), CurrentStatus(Status.NO_DATA, Reason.NEVER_RECEIVED, 0)
)


class FakeRequest:
    def __init__(self, rest: str, query: str = "", authorization: str | None = None, body: bytes = b"") -> None:
        fleet = Fleet()
        fleet.update([WATCHED])
        self.rest, self.query, self.received_at = rest, query, 1000
        self._authorization, self._body = authorization, body
        self._authenticator = Authenticator(fleet, KEY)

    def header(self, name: str) -> str | None:
        return self._authorization if name == "Authorization" else None

    def authenticate(self, tag: str, secret: str) -> FleetMonitor | None:
        found = self._authenticator.check(tag, secret)
        return found if isinstance(found, FleetMonitor) else None

    @property
    def has_body(self) -> bool:
        return bool(self._body)

    async def body(self, keep: int = KEPT) -> Body:
        return Body(self._body[:keep], len(self._body) > keep)


def read(rest: str, query: str = "", authorization: str | None = None, body: bytes = b"") -> Beat:
    request: Request = FakeRequest(rest, query, authorization, body)
    signals = asyncio.run(HeartbeatDialect().read(request))
    assert len(signals) == 1
    return signals[0]


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
    for signal in (
        read(f"job:{SECRET}{suffix}"),
        read(f"job/{SECRET}{suffix}"),
        read(f"job{suffix}", authorization=f"Bearer {SECRET}"),
        read(f"job{suffix}", authorization=f"bearer  {SECRET} "),
    ):
        assert signal.watched is WATCHED
        assert (signal.beat.kind, signal.beat.exit_code) == (kind, exit_code)
        assert signal.beat.received_at == 1000


def test_a_foreign_authorization_header_spoils_nothing() -> None:
    for header in ("Bearer something-else", "Basic dXNlcjpwYXNz", "", "Bearer", "Bearer "):
        assert read(f"job:{SECRET}/fail", authorization=header).beat.kind is Kind.FAILURE
        assert read(f"job/{SECRET}/fail", authorization=header).beat.kind is Kind.FAILURE


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
    signal = read(f"job:{SECRET}/start", query)
    assert signal.beat.rid == rid
    assert bool(signal.warnings) is warned
    answer = json.loads(HeartbeatDialect().answer([signal]))
    assert answer["status"] == "OK"
    assert ("warning" in answer) is warned


def test_a_long_body_is_cut_and_said_to_be() -> None:
    signal = read(f"job:{SECRET}", body=b"x" * (KEPT + 1))
    assert len(signal.beat.output) == KEPT
    assert "10 kB" in signal.warnings[0]
    assert not read(f"job:{SECRET}", body=b"x" * KEPT).warnings


@given(st.text(), st.none() | st.text(), st.binary(max_size=200))
def test_no_query_header_or_body_makes_a_good_heartbeat_fail(query: str, header: str | None, body: bytes) -> None:
    signal = read(f"job:{SECRET}", query, header, body)
    assert isinstance(signal.beat, Heartbeat)
    assert "\0" not in signal.beat.output
    signal.beat.output.encode()


@given(st.text(max_size=60), st.none() | st.text(max_size=60))
def test_whoever_does_not_know_the_secret_gets_nothing(rest: str, header: str | None) -> None:
    with pytest.raises(IngestError):
        read(rest, authorization=header)


def test_an_unknown_tag_is_worked_on_like_a_wrong_secret() -> None:
    fleet = Fleet()
    fleet.update([WATCHED])
    authenticator = Authenticator(fleet, KEY)
    assert authenticator.check("job", SECRET) is WATCHED
    assert authenticator.check("job", "x") is RejectReason.WRONG_SECRET
    assert authenticator.check("nobody", SECRET) is RejectReason.UNKNOWN_TAG
    assert authenticator.check("nobody", "") is RejectReason.UNKNOWN_TAG


def test_secrets_are_long_and_fit_a_url() -> None:
    made = {make_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 32 and one.replace("-", "").replace("_", "").isalnum() for one in made)


def test_every_dialect_has_what_the_receiver_needs() -> None:
    dialects = all_dialects()
    assert len(dialects) >= len(DIALECTS)
    assert len({dialect.name for dialect in dialects}) == len(dialects)
    for dialect in dialects:
        assert dialect.route.startswith("/")
        assert dialect.methods
