"""Healthchecks' management API: every row of what its clients rely on, in front of a real database."""

import gzip
import hashlib
import json
import re
from threading import Barrier, Thread
from typing import Any

import pytest

from exporter.core.heartbeat import Kind
from exporter.core.monitor import Monitor
from exporter.ingest.dialects.healthchecks.check import channel_id
from exporter.ingest.dialects.healthchecks.spec import slugify
from tests.support.checks import API_TOKEN, ChecksApi, Reply

UUID = "0b6f9d3a-1111-4222-8333-0123456789ab"
FIELDS = [
    "name",
    "slug",
    "tags",
    "desc",
    "grace",
    "n_pings",
    "status",
    "started",
    "last_ping",
    "next_ping",
    "manual_resume",
    "methods",
    "subject",
    "subject_fail",
    "start_kw",
    "success_kw",
    "failure_kw",
    "filter_subject",
    "filter_body",
    "filter_http_body",
    "filter_default_fail",
    "badge_url",
]
OPENING = ("uuid", "ping_url", "update_url", "pause_url", "resume_url", "channels")


@pytest.fixture
def hc() -> ChecksApi:
    return ChecksApi()


def error(reply: Reply) -> tuple[int, str]:
    assert list(reply.body) == ["error"]
    assert reply.headers["access-control-allow-origin"] == "*"
    return reply.status, reply.body["error"]


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_a_key_in_the_header_or_in_the_body(hc: ChecksApi, version: str) -> None:
    for path in ("checks/", "checks", "channels/", "channels"):
        assert hc.ask("GET", f"{version}/{path}").status == 200
        assert error(hc.ask("GET", f"{version}/{path}", key=None)) == (401, "missing api key")
        assert error(hc.ask("GET", f"{version}/{path}", key="")) == (401, "missing api key")
        wrong = hc.ask("GET", f"{version}/{path}", key="SESAME-another")
        assert error(wrong) == (401, "wrong api key")
        assert wrong.outcome.slowed == ["127.0.0.1"]
        assert wrong.outcome.rejected == []  # no heartbeat
    assert hc.ask("POST", f"{version}/checks/", {"api_key": API_TOKEN}, key=None).status == 201
    assert error(hc.ask("POST", f"{version}/checks/", {"api_key": "wrong"}, key=None)) == (401, "wrong api key")
    assert error(hc.ask("POST", f"{version}/checks/", {"api_key": 7}, key=None)) == (401, "wrong api key")
    assert error(hc.ask("POST", f"{version}/checks/", {"api_key": None}, key=None)) == (401, "missing api key")
    assert error(hc.ask("POST", f"{version}/checks/", {}, key=None)) == (401, "missing api key")
    reply = hc.ask("POST", f"{version}/checks/", {"api_key": API_TOKEN}, key="wrong")  # the header decides
    assert error(reply) == (401, "wrong api key")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("checks", {"GET", "POST"}),
        (f"checks/{UUID}", {"GET", "POST", "DELETE"}),
        (f"checks/{UUID}/pause", {"POST"}),
        (f"checks/{UUID}/resume", {"POST"}),
        (f"checks/{UUID}/pings", {"GET"}),
        (f"checks/{UUID}/pings/1/body", {"GET"}),
        ("channels", {"GET"}),
        ("status", {"GET"}),
    ],
)
def test_cors_and_methods(hc: ChecksApi, path: str, methods: set[str]) -> None:
    for slash in ("", "/"):
        reply = hc.ask("OPTIONS", f"v3/{path}{slash}", key=None)
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-headers"] == "X-Api-Key"
        assert set(reply.headers["access-control-allow-methods"].split(", ")) == methods | {"OPTIONS"}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"} - methods:
            refused = hc.ask(method, f"v2/{path}{slash}")
            assert refused.status == 405
            assert set(refused.headers["allow"].split(", ")) == methods | {"OPTIONS"}
            assert refused.headers["access-control-allow-origin"] == "*"


def test_the_status_needs_no_key_and_other_versions_are_unknown(hc: ChecksApi) -> None:
    for version in ("v1", "v2", "v3"):
        reply = hc.ask("GET", f"{version}/status/", key=None)
        assert (reply.status, reply.body) == (200, b"OK")
    for version in ("v0", "v4", "V3", "v", "v33"):
        assert error(hc.ask("GET", f"{version}/checks/")) == (404, "not found")


def test_switched_off_it_is_not_there(hc: ChecksApi) -> None:
    assert hc.ask("GET", "v3/checks/", switched_off=["healthchecks"]).outcome.passed_on


def test_while_the_service_starts_it_is_503(hc: ChecksApi) -> None:
    reply = hc.ask("GET", "v3/checks/", fate="starting")
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert list(reply.body) == ["error"]


def test_without_the_database_it_is_503_and_the_list_is_there(hc: ChecksApi) -> None:
    check = hc.create(name="job")
    hc.world.break_storage()
    reply = hc.ask("POST", "v3/checks/", {"name": "another"})
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert hc.ask("DELETE", f"v3/checks/{check['uuid']}").status == 503
    assert [each["uuid"] for each in hc.checks()] == [check["uuid"]]


# ── what a check is ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_new_check(hc: ChecksApi, version: int) -> None:
    check = hc.create(version=f"v{version}", name="Nightly Backup", tags=" prod  www ", desc="Line\n2", timeout=3600)
    uuid = check["uuid"]
    url = f"https://hb.example.org/api/v{version}/checks/{uuid}"
    assert check == {
        **check,
        "name": "Nightly Backup",
        "slug": "nightly-backup",
        "tags": "prod www",
        "desc": "Line\n2",
        "grace": 3600,
        "n_pings": 0,
        "status": "new",
        "started": False,
        "last_ping": None,
        "next_ping": None,
        "manual_resume": False,
        "methods": "",
        "ping_url": f"https://hb.example.org/ping/{uuid}",
        "update_url": url,
        "pause_url": f"{url}/pause",
        "resume_url": f"{url}/resume",
        "channels": "",
        "timeout": 3600,
    }
    assert set(check) == {*FIELDS, *OPENING, "timeout"}
    monitor = hc.monitor("nightly-backup")
    assert (monitor.every, monitor.degraded_after, monitor.down_after) == (3_600_000, 0, 3_600_000)
    assert (monitor.name, monitor.description) == ("Nightly Backup", "Line\n2")
    assert monitor.labels == (("tags", "prod www"),)
    watched = hc.world.fleet.get("nightly-backup")
    assert watched is not None
    assert not watched.provisioned
    assert hc.api.token_of(watched) == uuid
    for path in (f"checks/{uuid}", f"checks/{uuid}/", f"checks/{uuid.upper()}"):
        assert hc.ask("GET", f"v{version}/{path}").body == check
    assert hc.checks(version=f"v{version}") == [check]


def test_defaults_and_schedules(hc: ChecksApi) -> None:
    plain = hc.create()
    assert (plain["name"], plain["slug"], plain["timeout"], plain["grace"]) == ("", "", 86_400, 3_600)
    cron = hc.create(schedule="15  5 * * *", tz="Europe/Riga", grace=120, timeout=600)
    assert (cron["schedule"], cron["tz"], cron["grace"], "timeout" in cron) == ("15 5 * * *", "Europe/Riga", 120, False)
    (monitor,) = [each.monitor for each in hc.world.fleet if each.monitor.schedule]
    assert (monitor.schedule, monitor.timezone, monitor.every) == ("15 5 * * *", "Europe/Riga", None)
    assert (monitor.degraded_after, monitor.down_after) == (0, 120_000)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Über Größe!", "uber-groe"),
        ("  a -- b_c  ", "a-b_c"),
        ("日本", ""),
        ("../../etc/passwd", "etcpasswd"),
        ("x" * 100, "x" * 100),
        ("-_-", ""),
    ],
)
def test_the_slug_of_a_name_is_djangos(hc: ChecksApi, name: str, slug: str) -> None:
    assert slugify(name) == slug
    check = hc.create(name=name)
    assert check["name"] == name
    if slug:
        assert check["slug"] == slug
        assert hc.monitor(slug).name == name
    assert len(list(hc.world.fleet)) == 1


def test_two_checks_of_one_name_are_two(hc: ChecksApi) -> None:
    first, second, third = (hc.create(name="job") for _ in range(3))
    assert len({first["uuid"], second["uuid"], third["uuid"]}) == 3
    assert [each.monitor.tag for each in hc.world.fleet] == ["job", "job-2", "job-3"]
    assert [each["slug"] for each in (first, second, third)] == ["job", "job-2", "job-3"]  # as they can be pinged
    own = hc.create(name="other", slug="job", version="v3")
    assert own["slug"] == "job"  # as the client wants it
    assert len(hc.checks("slug=job")) == 2
    empty = hc.create(name="named", slug="")
    assert empty["slug"] == ""
    assert hc.monitor("named").name == "named"


def test_status_and_moments(hc: ChecksApi) -> None:
    check = hc.create(name="job", timeout=3600, grace=600)
    url = f"v3/checks/{check['uuid']}"
    now = hc.world.clock.now() // 1000

    def shown(version: str = "v3") -> dict[str, Any]:
        return dict(hc.ask("GET", url.replace("v3", version)).body)

    hc.record(check["uuid"], (Kind.START, 0))
    assert (shown()["status"], shown()["started"], shown("v1")["status"]) == ("new", True, "started")
    assert shown()["last_ping"] is None
    hc.record(check["uuid"], (Kind.LOG, 1), (Kind.SUCCESS, 7))
    after = shown()
    assert (after["status"], after["started"], after["n_pings"], after["last_duration"]) == ("up", False, 3, 7)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", after["last_ping"])
    from datetime import datetime

    assert datetime.fromisoformat(after["last_ping"]).timestamp() == now + 7
    assert datetime.fromisoformat(after["next_ping"]).timestamp() == now + 7 + 3600
    hc.record(check["uuid"], (Kind.FAILURE, 8))
    failed = shown()
    assert (failed["status"], failed["next_ping"]) == ("down", None)
    assert datetime.fromisoformat(failed["last_ping"]).timestamp() == now + 8
    hc.record(check["uuid"], (Kind.START, 9))
    assert (shown()["status"], shown("v1")["status"], shown("v2")["status"]) == ("down", "started", "down")


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"name": "x" * 300}, "name is too long"),
        ({"name": "x" * 101}, "name is too long"),
        ({"name": 7}, "name is not a string"),
        ({"name": ["x"]}, "name is not a string"),
        ({"name": "a\0b"}, "name has characters that cannot be shown"),
        ({"name": "\ud800"}, "name has characters that cannot be shown"),
        ({"desc": {}}, "desc is not a string"),
        ({"desc": "x" * 5001}, "desc is too long"),
        ({"tags": ["a"]}, "tags is not a string"),
        ({"tags": "x" * 501}, "tags is too long"),
        ({"tags": "a" * 201}, "tags is too long"),
        ({"timeout": 59}, "timeout is too small"),
        ({"timeout": 31_536_001}, "timeout is too large"),
        ({"timeout": 10**30}, "timeout is too large"),
        ({"timeout": "60"}, "timeout is not a number"),
        ({"timeout": 60.5}, "timeout is not a number"),
        ({"timeout": True}, "timeout is not a number"),
        ({"timeout": float("nan")}, "timeout is not a number"),
        ({"grace": 0}, "grace is too small"),
        ({"grace": -1}, "grace is too small"),
        ({"grace": []}, "grace is not a number"),
        ({"slug": "No"}, "slug does not match pattern"),
        ({"slug": "a.b"}, "slug does not match pattern"),
        ({"slug": "a\n"}, "slug has characters that cannot be shown"),
        ({"slug": "x" * 101}, "slug is too long"),
        ({"schedule": "0 0 30 2 *"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": "* * * *"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": "99 * * * *"}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": ""}, "schedule is not a valid cron or OnCalendar expression"),
        ({"schedule": "* " * 100}, "schedule is too long"),
        ({"schedule": 5}, "schedule is not a string"),
        ({"tz": "Mars/Base"}, "tz is not a valid timezone"),
        ({"tz": ""}, "tz is not a valid timezone"),
        ({"tz": "../../etc/passwd"}, "tz is not a valid timezone"),
        ({"methods": "PUT"}, "methods has unexpected value"),
        ({"methods": ["POST"]}, "methods has unexpected value"),
        ({"manual_resume": 1}, "manual_resume is not a boolean"),
        ({"manual_resume": "true"}, "manual_resume is not a boolean"),
        ({"filter_body": "x"}, "filter_body is not a boolean"),
        ({"success_kw": "x" * 201}, "success_kw is too long"),
        ({"channels": 1}, "channels is not a string"),
        ({"unique": "name"}, "unique is not an array"),
        ({"unique": ["status"]}, "an item in 'unique' has unexpected value"),
        ({"unique": [None]}, "an item in 'unique' has unexpected value"),
        ({"unique": [["name"]]}, "an item in 'unique' has unexpected value"),
        ({"timeout": 1, "grace": 1}, "grace is too small"),
    ],
)
def test_values_that_cannot_be(hc: ChecksApi, members: dict[str, Any], message: str) -> None:
    assert error(hc.ask("POST", "v3/checks/", members)) == (400, f"json validation error: {message}")
    assert not len(hc.world.fleet)
    check = hc.create(name="good")
    assert error(hc.ask("POST", f"v3/checks/{check['uuid']}", members))[0] == 400
    assert hc.checks() == [check]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "could not parse request body"),
        (b"name=x&timeout=60", "could not parse request body"),
        (b"\xff\xfe{}", "could not parse request body"),
        (b"[" * 60_000, "could not parse request body"),
        (b'{"timeout": ' + b"9" * 5_000 + b"}", "could not parse request body"),
        (b"[]", "json validation error: value is not an object"),
        (b'"name"', "json validation error: value is not an object"),
        (b"7", "json validation error: value is not an object"),
    ],
)
def test_bodies_that_are_no_object(hc: ChecksApi, raw: bytes, message: str) -> None:
    assert error(hc.ask("POST", "v3/checks/", raw=raw)) == (400, message)


def test_a_body_that_is_too_long(hc: ChecksApi) -> None:
    reply = hc.ask("POST", "v3/checks/", {"name": "job", "junk": "x" * 70_000})
    assert reply.status == 413
    assert not len(hc.world.fleet)


def test_null_is_nothing_and_unknown_members_are_ignored(hc: ChecksApi) -> None:
    members = [*FIELDS, *OPENING, "timeout", "schedule", "tz", "unique", "state", "management_api_token", "api_key"]
    check = hc.ask("POST", "v1/checks/", dict.fromkeys(members))
    assert check.status == 201
    assert (check.body["timeout"], check.body["grace"], check.body["name"]) == (86_400, 3_600, "")
    before = hc.create(name="job", tags="a", timeout=60, desc="d")
    assert hc.ask("POST", f"v3/checks/{before['uuid']}", dict.fromkeys(members)).body == before
    junk = {"junk": {"deep": [1, None]}, "uuid": UUID, "status": "down", "n_pings": 9, "name": "job"}
    assert hc.ask("POST", f"v3/checks/{before['uuid']}", junk).body == before
    assert hc.ask("POST", f"v3/checks/{before['uuid']}", raw=b"null").body == before
    assert hc.ask("POST", f"v3/checks/{before['uuid']}").body == before


@pytest.mark.parametrize(
    "id", [UUID, "7", "job", "0" * 40, "x" * 36, "%00", "..", "d65681c5-9329-8444-af32-820417cf674g", "a" * 10_000]
)
def test_checks_that_are_not_there(hc: ChecksApi, id: str) -> None:
    hc.create(name="job")
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("GET", "/pings/"),
        ("GET", "/pings/1/body"),
    ):
        assert error(hc.ask(method, f"v3/checks/{id}{path}")) == (404, "not found")
    assert len(hc.world.fleet) == 1


def test_the_answer_to_a_defect_quotes_nothing(
    hc: ChecksApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(body: dict[str, Any]) -> None:
        raise LookupError(f"no such member: {body}")

    monkeypatch.setattr("exporter.ingest.dialects.healthchecks.resources.read_spec", fail)
    reply = hc.ask("POST", "v3/checks/", {"management_api_token": API_TOKEN, "name": "of-the-body"})
    assert reply.status == 500
    assert "LookupError" in caplog.text
    for text in (caplog.text, json.dumps(reply.body)):
        assert API_TOKEN not in text
        assert "of-the-body" not in text


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_update_changes_what_it_names(hc: ChecksApi) -> None:
    check = hc.create(name="job", tags="a b", timeout=3600, grace=600, desc="d", channels="ops", methods="POST")
    hc.record(check["uuid"], (Kind.SUCCESS, 0))
    url = f"v3/checks/{check['uuid']}"

    def update(**members: Any) -> dict[str, Any]:
        reply = hc.ask("POST", url, members)
        assert reply.status == 200
        assert hc.ask("GET", url).body == reply.body
        return dict(reply.body)

    changed = update(name="Renamed", grace=120)
    assert (changed["name"], changed["grace"], changed["timeout"], changed["slug"]) == ("Renamed", 120, 3600, "job")
    assert (changed["tags"], changed["desc"], changed["methods"], changed["n_pings"]) == ("a b", "d", "POST", 1)
    assert (changed["status"], changed["uuid"], changed["channels"]) == ("up", check["uuid"], channel_id("ops"))
    changed = update(schedule="0 3 * * *", tz="Europe/Rome")
    assert (changed["schedule"], changed["tz"], changed["grace"]) == ("0 3 * * *", "Europe/Rome", 120)
    assert "timeout" not in changed
    assert (update(grace=60)["schedule"], update(tz="UTC")["tz"]) == ("0 3 * * *", "UTC")
    changed = update(timeout=60)
    assert (changed["timeout"], changed["grace"], "schedule" in changed) == (60, 60, False)
    changed = update(tags="", desc="", channels="", methods="", name="")
    assert [changed[name] for name in ("tags", "desc", "channels", "methods", "name")] == [""] * 5
    assert hc.monitor("job").labels == ()
    assert update(slug="another")["slug"] == "another"
    assert [each["uuid"] for each in hc.checks("slug=another")] == [check["uuid"]]
    assert update(slug="job")["slug"] == "job"
    assert hc.monitor("job").details == '{"nameless":true}'
    assert [each.monitor.tag for each in hc.world.fleet] == ["job"]


def test_what_has_no_effect_here_is_given_back(hc: ChecksApi) -> None:
    kept = {
        "manual_resume": True,
        "methods": "POST",
        "start_kw": "START",
        "success_kw": "OK,😀",
        "failure_kw": 'ERROR "x"',
        "filter_subject": True,
        "filter_body": True,
        "filter_http_body": True,
        "filter_default_fail": True,
    }
    check = hc.create(**kept)
    assert {name: check[name] for name in kept} == kept
    assert (check["subject"], check["subject_fail"]) == (kept["success_kw"], kept["failure_kw"])
    old = hc.create(subject="good", version="v1")
    assert (old["success_kw"], old["filter_subject"], old["subject"]) == ("good", True, "good")
    reply = hc.ask("POST", f"v3/checks/{check['uuid']}", {name: type(value)() for name, value in kept.items()})
    assert not any(reply.body[name] for name in (*kept, "subject", "subject_fail"))


def test_pause_and_resume(hc: ChecksApi) -> None:
    check = hc.create(name="job")
    url = f"v3/checks/{check['uuid']}"
    reply = hc.ask("POST", f"{url}/resume")
    assert error(reply) == (409, "check is not paused")
    for body in (None, {}, {"junk": 1}):
        reply = hc.ask("POST", f"{url}/pause", body)
        assert (reply.status, reply.body["status"]) == (200, "paused")
    assert hc.ask("POST", f"{url}/pause/", raw=b"null").status == 200  # as Ansible sends it
    assert hc.ask("GET", url).body["status"] == "paused"
    assert hc.ask("POST", url, {"name": "x"}).body["status"] == "paused"
    reply = hc.ask("POST", f"{url}/resume/")
    assert (reply.status, reply.body["status"]) == (200, "new")
    assert hc.ask("POST", f"{url}/resume").status == 409


def test_delete_answers_the_check_and_its_name_is_free(hc: ChecksApi) -> None:
    check = hc.create(name="job")
    hc.record(check["uuid"], (Kind.SUCCESS, 0))
    hc.ask("POST", f"v3/checks/{check['uuid']}/pause")
    reply = hc.ask("DELETE", f"v3/checks/{check['uuid']}")
    assert (reply.status, reply.body["uuid"], reply.body["name"]) == (200, check["uuid"], "job")
    assert hc.ask("DELETE", f"v3/checks/{check['uuid']}").status == 404
    assert hc.checks() == []
    again = hc.create(name="job")
    assert again["uuid"] != check["uuid"]
    assert (again["slug"], again["status"], again["n_pings"]) == ("job", "new", 0)
    assert hc.ask("GET", f"v3/checks/{check['uuid']}").status == 404


def test_what_the_file_provides_is_read_only(hc: ChecksApi) -> None:
    filed = Monitor(tag="filed", degraded_after=60_000, down_after=180_000, labels=(("tags", "a b"),))
    hc.provision(filed, Monitor(tag="stopped", paused=True), tokens=[UUID])
    first, second = hc.checks()
    assert (first["name"], first["slug"], first["tags"]) == ("filed", "filed", "a b")
    assert (first["timeout"], first["grace"]) == (60, 120)
    assert hc.ask("GET", f"v3/checks/{UUID.upper()}").body == first  # by the UUID that the file gives it
    url = f"v3/checks/{first['uuid']}"
    for reply in (
        hc.ask("POST", url, {"name": "x"}),
        hc.ask("DELETE", url),
        hc.ask("POST", "v3/checks/", {"name": "filed", "unique": ["name"], "tags": "other"}),
        hc.ask("POST", f"v3/checks/{second['uuid']}/resume"),
    ):
        status, text = error(reply)
        assert status == 403
        assert "configuration file" in text
    assert hc.ask("POST", url, {"tags": "a b"}).body == first  # no change
    assert hc.ask("POST", f"{url}/pause").body["status"] == "paused"
    assert hc.ask("POST", f"{url}/resume").body["status"] == "new"
    assert hc.monitor("filed") == filed


# ── unique ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("unique", "other"),
    [
        (["name"], {"name": "other"}),
        (["slug"], {"slug": "other"}),
        (["tags"], {"tags": "x"}),
        (["timeout"], {"timeout": 120}),
        (["grace"], {"grace": 120}),
        (["name", "tags"], {"tags": "x"}),
        (["slug", "timeout", "grace"], {"grace": 61}),
    ],
)
def test_unique_makes_one_and_then_changes_it(hc: ChecksApi, unique: list[str], other: dict[str, Any]) -> None:
    members = {"name": "job", "slug": "a-job", "tags": "x  y", "timeout": 60, "grace": 60, "unique": unique}
    made = hc.ask("POST", "v3/checks/", members)
    assert made.status == 201
    again = hc.ask("POST", "v3/checks/", {**members, "desc": "changed"})
    assert (again.status, again.body["desc"]) == (200, "changed")
    assert again.body["uuid"] == made.body["uuid"]
    assert hc.ask("POST", "v3/checks/", {**members, **other}).status == 201
    assert len(hc.world.fleet) == 2


def test_unique_needs_the_members_that_it_names(hc: ChecksApi) -> None:
    for unique in ([], ["tags"], ["name", "tags"], None):
        assert hc.ask("POST", "v3/checks/", {"name": "job", "unique": unique}).status == 201
    assert hc.ask("POST", "v3/checks/", {"name": None, "unique": ["name"]}).status == 201


def test_unique_finds_what_was_made_otherwise(hc: ChecksApi) -> None:
    hc.world.container.managed_monitors.add(Monitor(tag="by-hand"), "SESAME-by-hand")
    reply = hc.ask("POST", "v3/checks/", {"name": "by-hand", "unique": ["name"], "timeout": 60})
    assert (reply.status, reply.body["timeout"], reply.body["slug"]) == (200, 60, "by-hand")
    moved = hc.create(name="moved", slug="here")
    hc.ask("POST", f"v3/checks/{moved['uuid']}", {"slug": "there"})
    reply = hc.ask("POST", "v3/checks/", {"slug": "there", "unique": ["slug"]})
    assert (reply.status, reply.body["uuid"]) == (200, moved["uuid"])
    assert hc.ask("POST", "v3/checks/", {"slug": "here", "unique": ["slug"]}).status == 201


def test_unique_is_exact_however_many_ask(hc: ChecksApi) -> None:
    """Each asks the database itself, as other processes do: the fleet of this one is empty for all of them."""
    from exporter.ingest.dialects.healthchecks.spec import fits, monitor_from, read_spec

    spec = read_spec({"name": "job", "unique": ["name"], "slug": "job"})
    repository, barrier, numbers = hc.world.container.repositories.monitors, Barrier(8), []

    def put() -> None:
        barrier.wait()
        where = [{"name": "job"}]
        make = lambda before, free: monitor_from(spec, before, free, ())  # noqa: E731
        numbers.append(repository.put(make, b"x" * 16, where=where, fits=lambda monitor: fits(spec, monitor)))
        hc.world.database.close()

    threads = [Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({number for number, _ in numbers}) == 1
    assert sorted(added for _, added in numbers) == [False] * 7 + [True]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_are_filtered_and_not_paged(hc: ChecksApi) -> None:
    hc.create(name="one", tags="a b")
    hc.create(name="two", tags="a bc")
    hc.create(name="three")
    assert len(hc.checks()) == 3

    def names(query: str) -> set[str]:
        return {each["name"] for each in hc.checks(query)}

    assert names("tag=a") == {"one", "two"}
    assert names("tag=b") == {"one"}
    assert names("tag=a&tag=bc") == {"two"}
    assert names("tag=a&tag=zzz") == set()
    assert names("tag=a%20b") == set()
    assert names("slug=two") == {"two"}
    assert names("slug=none") == set()
    assert names("slug=") == {"one", "two", "three"}
    assert names("name=one&junk=%ff&limit=1") == {"one", "two", "three"}


def test_a_long_list_is_whole_and_compressed_for_those_who_take_it(hc: ChecksApi) -> None:
    hc.provision(*(Monitor(tag=f"job-{number:04}") for number in range(1000)))
    plain = hc.ask("GET", "v3/checks/")
    assert len(plain.body["checks"]) == 1000
    assert len({each["uuid"] for each in plain.body["checks"]}) == 1000
    for accepted in (b"gzip", b"deflate, gzip;q=0.5, br", b"gzip, deflate", b"GZIP;q=1.0"):
        packed = hc.ask("GET", "v3/checks/", headers=[(b"accept-encoding", accepted)])
        assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert json.loads(gzip.decompress(packed.body)) == plain.body
        assert len(packed.body) < len(plain.outcome.body) / 5
    for accepted in (b"", b"br", b"gzip;q=0", b"gzip;q=0.0, br", b"notgzip"):
        assert "content-encoding" not in hc.ask("GET", "v3/checks/", headers=[(b"accept-encoding", accepted)]).headers


# ── reading without a key ────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_token_configured_all_may_read_what_opens_nothing(hc: ChecksApi) -> None:
    check = hc.create(name="job", channels="*")
    hc.token = None
    reply = hc.ask("GET", "v3/checks/", key=None)
    assert reply.status == 200
    (shown,) = reply.body["checks"]
    key = hashlib.sha1(check["uuid"].replace("-", "")[:16].encode()).hexdigest()
    assert shown == {**{name: check[name] for name in (*FIELDS, "timeout")}, "unique_key": key}
    assert check["uuid"] not in json.dumps(reply.body)
    assert hc.ask("GET", f"v1/checks/{key}", key=None).body == shown
    assert "access-control-allow-origin" not in reply.headers  # any page could ask
    assert error(hc.ask("GET", "v3/checks/", key=API_TOKEN)) == (401, "wrong api key")
    for method, path in (
        ("POST", "checks/"),
        ("POST", f"checks/{check['uuid']}"),
        ("DELETE", f"checks/{check['uuid']}"),
        ("POST", f"checks/{check['uuid']}/pause"),
        ("POST", f"checks/{check['uuid']}/resume"),
        ("GET", f"checks/{check['uuid']}/pings/"),
        ("GET", f"checks/{check['uuid']}/pings/1/body"),
        ("GET", "channels/"),
    ):
        assert error(hc.ask(method, f"v3/{path}", key=None)) == (401, "missing api key")
    hc.external_url = None
    rebound = hc.ask("GET", "v3/checks/", key=None, headers=[(b"host", b"evil.example.org")])
    assert rebound.status == 401


def test_a_check_by_its_unique_key(hc: ChecksApi) -> None:
    check = hc.create(name="job")
    key = hashlib.sha1(check["uuid"].replace("-", "")[:16].encode()).hexdigest()
    assert hc.ask("GET", f"v3/checks/{key}").body == check


def test_without_built_in_tokens_nothing_is_made_and_nothing_opens(hc: ChecksApi) -> None:
    check = hc.create(name="job")
    hc.built_in_tokens = False
    (shown,) = hc.checks()
    assert not set(shown) & set(OPENING)
    assert hc.ask("GET", f"v3/checks/{check['uuid']}").status == 404
    assert hc.ask("GET", f"v3/checks/{shown['unique_key']}").body == shown
    status, text = error(hc.ask("POST", "v3/checks/", {"name": "another"}))
    assert (status, "built_in_tokens" in text) == (403, True)


# ── pings ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pings_and_their_bodies(hc: ChecksApi) -> None:
    check = hc.create(name="job")
    url = f"v2/checks/{check['uuid']}"
    assert hc.ask("GET", f"{url}/pings/").body == {"pings": []}
    rid = "11111111-2222-4333-8444-555555555555"
    hc.record(
        check["uuid"],
        (Kind.START, 0, "", rid),
        (Kind.LOG, 1, "half\nway"),
        (Kind.SUCCESS, 9, "done ✓ " + "x" * 3000, rid),
        (Kind.FAILURE, 20),
    )
    pings = hc.ask("GET", f"{url}/pings/").body["pings"]
    assert [(each["n"], each["type"]) for each in pings] == [(4, "fail"), (3, "success"), (2, "log"), (1, "start")]
    failed, done, log, start = pings
    assert (done["duration"], done["rid"], start["rid"], failed["rid"]) == (9.0, rid, rid, None)
    assert "duration" not in failed
    assert "duration" not in log
    assert set(done) == {
        "type", "date", "n", "scheme", "remote_addr", "method", "ua", "rid", "duration", "body_url",
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", done["date"])
    assert (failed["body_url"], start["body_url"]) == (None, None)
    assert done["body_url"] == f"https://hb.example.org/api/{url}/pings/3/body"
    reply = hc.ask("GET", f"{url}/pings/3/body")
    assert (reply.status, reply.body.decode()) == (200, "done ✓ " + "x" * 3000)
    assert reply.headers["content-type"].startswith("text/plain")
    assert hc.ask("GET", f"{url}/pings/2/body").body == b"half\nway"
    for number in ("1", "4", "0", "5", "-1", "x", "9" * 400):
        assert hc.ask("GET", f"{url}/pings/{number}/body").status == 404


# ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_channels_are_notifiers(hc: ChecksApi) -> None:
    channels = hc.ask("GET", "v3/channels/").body["channels"]
    assert [(each["name"], each["kind"]) for each in channels] == [
        ("ops", "webhook"),
        ("mail", "email"),
        ("pager", "pd"),
    ]
    ids = {each["name"]: each["id"] for each in channels}
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id) for id in ids.values())
    for chosen, names in (
        ("*", ["ops", "mail", "pager"]),
        ("", []),
        ("ops", ["ops"]),
        (f"{ids['pager']},ops,ops", ["ops", "pager"]),
    ):
        check = hc.create(channels=chosen)
        assert check["channels"] == ",".join(sorted(ids[name] for name in names))
    assert hc.create()["channels"] == ""
    for chosen, message in (
        ("nobody", "invalid channel identifier: nobody"),
        ("ops,", "empty channel identifier"),
        (",", "empty channel identifier"),
        (UUID, f"invalid channel identifier: {UUID}"),
        ("ops, mail", "invalid channel identifier:  mail"),
    ):
        assert error(hc.ask("POST", "v3/checks/", {"channels": chosen})) == (400, message)
    hc.create(name="routed", channels="pager,ops")
    assert hc.monitor("routed").labels == (("channels", "ops,pager"),)  # alert rules select by it
