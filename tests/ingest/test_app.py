"""The ingest application: our own dialects answer as they always have, to the byte, and no dialect can do harm.

`golden/ingest.json` was written by the two implementations that came before, which agreed on every line.
"""

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.app.management import ApiForDialects
from exporter.config.settings import AuthSettings, Secret, Settings, WebSettings
from exporter.core.alerts.alert_rule import Selector
from exporter.core.credentials import BuiltInTokens, PingKey
from exporter.core.errors import InvalidValue, StorageUnavailable
from exporter.core.secret import digest
from exporter.core.telemetry import RejectReason
from exporter.ingest.dialects.alertmanager import AlertmanagerDialect
from exporter.ingest.dialects.native import NativeDialect
from exporter.ingest.errors import IngestError
from exporter.ingest.intake import Ingest
from exporter.ingest.newcomers import Newcomers
from exporter.ingest.request import Request
from exporter.ingest.response import Response
from exporter.ingest.routes import Route, owner_of
from exporter.web.app import create_app
from tests.conftest import ManualClock
from tests.ingest.dialects.everywhere import EverywhereDialect
from tests.support.ingest import KEY, SECRET, Asked, FakeCreation, Outcome, fleet_of, monitor, send
from tests.support.scenes import World

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "ingest.json").read_text())
OURS = [NativeDialect(), AlertmanagerDialect()]
URL = f"/ext/heartbeat/job:{SECRET}"


@pytest.mark.parametrize("expected", GOLDEN, ids=[f"{one['asked'][:3]} {one['fate'] or ''}" for one in GOLDEN])
def test_our_own_dialects_answer_as_they_always_have(expected: dict[str, Any]) -> None:
    method, path, query, headers, body = expected["asked"]
    asked = Asked(
        path, method, query.encode("latin-1"), tuple((a.encode(), b.encode()) for a, b in headers), body.encode()
    )
    fate = StorageUnavailable("disk full") if expected["fate"] == "disk full" else expected["fate"]
    outcome = send(asked, OURS, fleet_of(monitor(1, "job")), fate)
    if expected.get("passed_on"):
        assert outcome.passed_on
        return
    assert outcome.status == expected["status"]
    assert outcome.body.decode() == expected["body"] or method == "HEAD"  # the server leaves that out
    assert outcome.headers == expected["headers"]
    beats = [[tag, beat.kind, beat.rid, beat.exit_code, beat.output] for tag, beat in outcome.recorded]
    assert beats == expected["recorded"]
    assert list(outcome.rejected) == expected["rejected"]
    assert [list(seen) for seen in outcome.observed] == expected["observed"]
    assert not outcome.passed_on


class Custom(NativeDialect):
    """A dialect whose `handle` is given."""

    name = "custom"

    def __init__(self, route: Route = NativeDialect.routes[0]) -> None:
        self.routes = (route,)

    async def handle(self, request: Request, ingest: Ingest) -> Response:
        raise NotImplementedError


def ask(dialect: Custom, path: str = URL, method: str = "GET", **options: Any) -> Outcome:
    return send(Asked(path, method, **options), [dialect], fleet_of(monitor(1, "job")))


def test_a_defect_is_answered_counted_and_logged_without_what_is_secret(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Custom):
        async def handle(self, request: Request, ingest: Ingest) -> Response:
            raise ValueError(f"cannot read {request.fields['rest']}, {request.bearer()}, {request.parameter('key')}")

    broken = Broken(Route(("GET",), "/ext/heartbeat/{rest*}", secret=("key",)))
    outcome = ask(broken, query=b"key=HIDDEN-one", headers=((b"authorization", b"Bearer HIDDEN-two"),))
    assert (outcome.status, outcome.rejected) == (500, [RejectReason.INTERNAL])
    assert b"cannot read" not in outcome.body
    assert "ValueError: cannot read <secret>, <secret>, <secret>" in caplog.text
    assert "HIDDEN" not in caplog.text
    assert SECRET not in caplog.text
    assert [record.levelno for record in caplog.records if "dialect custom" in record.message] == [logging.ERROR]


def test_a_dialect_that_cannot_even_answer_an_error_is_answered_for() -> None:
    class Worse(Custom):
        async def handle(self, request: Request, ingest: Ingest) -> Response:
            raise RuntimeError

        def error(self, problem: IngestError) -> Response:
            raise RuntimeError

    outcome = ask(Worse())
    assert outcome.status == 500
    assert json.loads(outcome.body)["error"]


def test_a_wrong_credential_is_slowed_and_counted_even_if_the_dialect_raises_nothing() -> None:
    class Silent(Custom):
        async def handle(self, request: Request, ingest: Ingest) -> Response:
            grant = ingest.authenticate("wrong", "job")
            return Response(200 if grant is not None else 403, b"so what")

    outcome = ask(Silent())
    assert (outcome.status, outcome.body) == (403, b"so what")
    assert outcome.rejected == [RejectReason.WRONG_SECRET]
    assert outcome.slowed == ["127.0.0.1"]


def test_the_client_is_who_the_proxy_says() -> None:
    outcome = send(
        Asked("/ext/heartbeat/job:wrong", headers=((b"x-forwarded-for", b"1.2.3.4"),)),
        OURS,
        fleet_of(monitor(1, "job")),
    )
    assert outcome.slowed == ["1.2.3.4"]


def test_a_monitor_that_another_process_added_a_moment_ago_is_found() -> None:
    fleet = fleet_of()

    def catch_up(seconds: float) -> None:
        fleet.update([monitor(1, "job")])

    with ThreadPoolExecutor(1) as executor:
        outcome = send(Asked(URL), OURS, fleet, newcomers=Newcomers(catch_up, ManualClock(), executor))
    assert (outcome.status, outcome.rejected, outcome.slowed) == (200, [], [])
    assert [tag for tag, _ in outcome.recorded] == ["job"]


def test_a_heartbeat_waits_for_the_creation_of_its_monitor() -> None:
    """A client sends the start, which creates the monitor, and the end right behind it."""
    fleet = fleet_of()
    creation = FakeCreation(fleet)
    creation.running = [monitor(1, "job")]
    outcome = send(Asked(URL), OURS, fleet, creation=creation)
    assert (outcome.status, outcome.rejected, outcome.slowed) == (200, [], [])
    assert [tag for tag, _ in outcome.recorded] == ["job"]


def test_when_the_database_is_away_nobody_is_sent_away() -> None:
    def away(seconds: float) -> None:
        raise StorageUnavailable("away")

    with ThreadPoolExecutor(1) as executor:
        outcome = send(Asked(URL), OURS, fleet_of(), newcomers=Newcomers(away, ManualClock(), executor))
    assert (outcome.status, outcome.rejected) == (503, [RejectReason.STORAGE])
    assert outcome.headers["retry-after"] == "5"
    assert outcome.slowed == ["127.0.0.1"]


def test_a_dialect_that_is_switched_off_has_no_routes() -> None:
    fleet = fleet_of(monitor(1, "job"))
    assert send(Asked(URL), OURS, fleet, switched_off=["native"]).passed_on
    assert not send(Asked(URL), OURS, fleet, switched_off=["alertmanager"]).passed_on


def test_two_dialects_cannot_want_the_same_requests() -> None:
    with pytest.raises(InvalidValue, match="'native' and 'custom' both take GET /ext/heartbeat"):
        send(Asked(URL), [NativeDialect(), Custom(Route(("GET",), "/ext/heartbeat/{other*}"))], fleet_of())


def test_what_is_no_http_request_is_passed_on() -> None:
    async def run() -> bool:
        seen = []

        async def behind(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])

        from exporter.ingest.app import IngestApplication

        app = IngestApplication(behind, OURS, None, None, None, None, None, None, None)  # type: ignore[arg-type]
        await app({"type": "lifespan"}, None, None)
        return seen == ["lifespan"]

    assert asyncio.run(run())


def test_no_dialect_takes_a_page() -> None:
    world = World(web=replace(World().web, telemetry_path="/pulse/metrics"))
    pulse = Custom(Route(("GET",), "/pulse/{token}"))
    with pytest.raises(InvalidValue, match="/pulse/metrics is a page, and the dialect 'custom' takes it for its own"):
        create_app(world.parts(), owner=owner_of([pulse]))
    create_app(World().parts(), owner=owner_of([*OURS, pulse]))


class Api(ApiForDialects):
    """With a token, and a fleet of one."""

    def __init__(self) -> None:
        settings = Settings(web=WebSettings(auth=AuthSettings(token=Secret("api-token"))))
        monitors = World().container.managed_monitors
        super().__init__(fleet_of(monitor(1, "job")), monitors, ThreadPoolExecutor(1), lambda: settings, lambda: KEY)


def test_a_dialect_may_have_management_resources() -> None:
    def ask(method: str = "GET", token: bytes = b"api-token", **options: Any) -> Outcome:
        asked = Asked("/everywhere/api/tags", method, headers=((b"x-api-key", token),))
        return send(asked, [EverywhereDialect()], fleet_of(), management=Api(), **options)

    outcome = ask()
    assert (outcome.status, json.loads(outcome.body)) == (200, {"tags": ["job"]})
    assert outcome.observed == [("api", "GET", 200)]
    outcome = ask(token=b"wrong")
    assert (outcome.status, outcome.slowed, outcome.rejected) == (401, ["127.0.0.1"], [])
    assert (ask("POST").status, ask("POST").headers["allow"]) == (405, "GET, OPTIONS")
    assert ask(switched_off=["everywhere"]).passed_on
    outcome = ask(fate="starting")  # the fleet is empty yet, and a list of no monitors would be wrong
    assert (outcome.status, outcome.headers["retry-after"], outcome.rejected) == (503, "5", [])


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("job:wrong", "job"),
        ("jobb:wrong", "jobb"),
        ("job:s3cret/nosuffix", "job"),
        ("wrong:job", ""),
        ("wrong", ""),
        ("token-of-job:wrong", ""),
        ("key-of-ci:wrong", ""),
    ],
)
def test_a_refusal_is_listed_with_the_tag_and_never_with_a_credential(path: str, shown: str) -> None:
    fleet = fleet_of(monitor(1, "job", tokens=["token-of-job"]))
    key = PingKey(name="ci", digest=digest("key-of-ci", KEY), selector=Selector(tags=("ci-*",)))
    outcome = send(Asked(f"/ext/heartbeat/{path}"), OURS, fleet, keys=[key])
    assert [tag for _, tag in outcome.refused] == [shown]
    assert [reason for reason, _ in outcome.refused] == outcome.rejected


def test_what_is_not_stored_is_not_listed_as_refused() -> None:
    for fate in ("overloaded", "starting", StorageUnavailable("disk full")):
        assert send(Asked(URL), OURS, fleet_of(monitor(1, "job")), fate).refused == []


def test_the_api_for_dialects() -> None:
    api = Api()
    assert api.admits("api-token")
    assert not any(api.admits(token) for token in (None, "", "api-tokem", "\udcff"))
    job = api.monitor("job")
    assert job is not None
    assert api.monitor("nobody") is None
    assert api.token_of(job) == BuiltInTokens(KEY).of(1, 0)
    assert asyncio.run(api.run(str, 7)) == "7"
