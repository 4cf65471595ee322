"""Healthchecks: checks keep their UUIDs, slugs and ping keys, from every kind of source."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.importing.healthchecks import _seconds
from tests.importing.conftest import Takes, command, write
from tests.support.receivers import Receiver, answer

A, B, C = (f"{letter * 8}-0000-4000-8000-000000000001" for letter in "abc")


def check(id: int, code: str, **values: Any) -> dict[str, Any]:
    return {
        "id": id,
        "code": code.replace("-", ""),
        "project_id": 1,
        "name": "",
        "slug": "",
        "tags": "",
        "desc": "",
        "kind": "simple",
        "timeout": 86_400_000_000,
        "grace": 3_600_000_000,
        "schedule": "* * * * *",
        "tz": "UTC",
        "status": "up",
        "methods": "",
        "manual_resume": 0,
        "filter_body": 0,
        **values,
    }


TABLES = {
    "accounts_project": [{"id": 1, "name": "Ops", "ping_key": "ping-key-of-ops-1234"}],
    "api_check": [
        check(
            1,
            A,
            name="Nightly Backup",
            slug="nightly-backup",
            tags="prod  www",
            desc="Copies all\nto tape",
            timeout=93_600_000_000,
        ),
        check(2, B, name="Cron", slug="cron", kind="cron", schedule="0 3 * * *", tz="Europe/Rome", status="paused"),
        check(3, C, grace=60_000_000, manual_resume=1, filter_body=1, methods="POST"),
        check(4, A.replace("a", "d"), name="Cal", slug="cal", kind="oncalendar", schedule="*-*-* 03:00"),
        check(5, A, name="Twin", slug="twin"),
    ],
    "api_channel": [
        {"id": 1, "name": "Hook", "kind": "webhook", "disabled": 0, "value": '{"url_down": "https://example.org/h$$"}'},
        {"id": 2, "name": "", "kind": "slack", "disabled": 0, "value": "https://hooks.slack.com/services/T/B/x"},
        {
            "id": 3,
            "name": "Disc",
            "kind": "discord",
            "disabled": 0,
            "value": '{"webhook": {"url": "https://discord.com/x"}}',
        },
        {"id": 4, "name": "Mail", "kind": "email", "disabled": 0, "value": "ops@example.org"},
        {"id": 5, "name": "Bad", "kind": "opsgenie", "disabled": 0, "value": "{}"},
        {"id": 6, "name": "Off", "kind": "pd", "disabled": 1, "value": "key"},
        {
            "id": 7,
            "name": "PD",
            "kind": "pd",
            "disabled": 0,
            "value": '{"service_key": "0123456789abcdef0123456789abcdef"}',
        },
        {
            "id": 8,
            "name": "Note",
            "kind": "ntfy",
            "disabled": 0,
            "value": '{"topic": "beats", "url": "https://ntfy.sh", "priority": 3}',
        },
    ],
    "api_channel_checks": [
        {"id": 1, "channel_id": 2, "check_id": 1},
        {"id": 2, "channel_id": 2, "check_id": 2},
        {"id": 3, "channel_id": 7, "check_id": 1},
    ],
}


def test_its_sqlite_database(take: Takes, tmp_path: Path) -> None:
    settings, remarks = take("healthchecks", write(tmp_path / "hc.sqlite", TABLES))
    nightly, cron, nameless = settings.monitors
    assert nightly.monitor.tag == "nightly-backup"
    assert [token.reveal() for token in nightly.tokens] == [A]
    assert nightly.monitor.description == "Copies all\nto tape"
    assert (nightly.monitor.every, nightly.monitor.degraded_after) == (DAY + 2 * HOUR, 0)
    assert (nightly.monitor.down_after, nightly.monitor.labels) == (HOUR, (("tags", "prod www"),))
    assert (cron.monitor.schedule, cron.monitor.timezone, cron.monitor.paused) == ("0 3 * * *", "Europe/Rome", True)
    assert nameless.monitor.tag.startswith("check-")
    assert C[:8] not in nameless.monitor.tag, "the UUID opens the monitor"
    assert nameless.monitor.down_after == MINUTE
    key = settings.ping_keys[0]
    assert (key.name, key.key.reveal(), key.selector.tags) == (
        "Ops",
        "ping-key-of-ops-1234",
        ("cron", "nightly-backup"),
    )
    assert [(rule.name, rule.selector.tags, rule.notify) for rule in settings.alerts] == [
        ("slack", ("nightly-backup", "cron"), ("slack",)),
        ("PD", ("nightly-backup",), ("PD",)),
    ]
    assert [notifier.name for notifier in settings.notifiers] == ["slack", "Disc", "PD", "Note"]
    for line in (
        "check Cal: not taken over: its schedule is an OnCalendar expression",
        "check Twin: not taken over: another monitor has the same token",
        "a paused monitor stays paused here",
        "integration Hook: not taken over: its URL holds placeholders",
        "integration Mail: not taken over: its mail server is not in the database",
        "integration Bad: not taken over: its settings cannot be read",
        "integration Off: not taken over: it is disabled",
        "integration Disc: no check uses it",
        "Put ping_keys into the main configuration file",
    ):
        assert line in remarks
    assert A not in remarks


def test_what_dumpdata_printed_is_the_same(take: Takes, tmp_path: Path) -> None:
    models = {"accounts_project": "accounts.project", "api_check": "api.check", "api_channel": "api.channel"}
    used: dict[int, list[int]] = {}
    for row in TABLES["api_channel_checks"]:
        used.setdefault(row["channel_id"], []).append(row["check_id"])
    objects = []
    for table, model in models.items():
        for row in TABLES[table]:
            fields = {name.removesuffix("_id"): value for name, value in row.items() if name != "id"}
            if table == "api_check":
                for name in ("timeout", "grace"):
                    seconds = row[name] // 1_000_000
                    fields[name] = f"{seconds // 86_400} {seconds % 86_400 // 3600:02}:{seconds % 3600 // 60:02}:00"
            if table == "api_channel":
                fields["checks"] = used.get(row["id"], [])
            objects.append({"model": model, "pk": row["id"], "fields": fields})
    source = tmp_path / "dump.json"
    source.write_text(json.dumps(objects))
    ours = command("healthchecks", source)
    assert ours.stdout == command("healthchecks", write(tmp_path / "hc.sqlite", TABLES)).stdout


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (93_600_000_000, 93_600),
        ("93600000000", 93_600),
        ("1 day 02:00:00", 93_600),
        ("1 day, 2:00:00", 93_600),
        ("1 02:00:00", 93_600),
        ("2 days", 172_800),
        ("00:01:00", 60),
        ("00:00:01.500000", 1),
        ("P1DT02H00M00S", 93_600),
        ("P0DT00H01M00S", 60),
        (None, 7),
        ("", 7),
        ("soon", 7),
    ],
)
def test_durations(value: object, seconds: int) -> None:
    assert _seconds(value, 7) == seconds


def api_check(code: str, **values: Any) -> dict[str, Any]:
    return {"name": "Nightly", "slug": "nightly", "ping_url": f"https://hc-ping.com/{code}", "grace": 60, **values}


def test_its_api(take: Takes, tmp_path: Path, receiver: Receiver) -> None:
    checks = [api_check(A, timeout=3600), api_check(B, slug="cron", schedule="0 3 * * *", tz="Europe/Rome", uuid=B)]
    key = tmp_path / "key"
    key.write_text("SESAME-api-key\n")
    receiver.behave(answer(200, json.dumps({"checks": checks})), answer(200, json.dumps({"checks": checks})))
    settings, remarks = take("healthchecks", "--url", receiver.url, "--key-file", key)
    assert [entry.tokens[0].reveal() for entry in settings.monitors] == [A, B]
    assert settings.monitors[0].monitor.every == HOUR
    assert "integrations and ping keys: not taken over" in remarks
    request = receiver.received[0]
    assert request.target == "/api/v3/checks/"
    assert request.headers["x-api-key"] == "SESAME-api-key"


def test_trouble_with_its_api(tmp_path: Path, receiver: Receiver) -> None:
    key = tmp_path / "key"
    key.write_text("SESAME-api-key\n")
    read_only = {"checks": [{"name": "x", "slug": "x", "unique_key": "1"}]}
    for behaviour, text in (
        (answer(401, "{}"), "the key is not accepted (401)"),
        (answer(302, "", Location="https://elsewhere.example/"), "give that URL instead"),
        (answer(200, "<html>"), "is no JSON"),
        (answer(200, "[]"), "it has no list `checks`"),
        (answer(200, json.dumps(read_only)), "not a read-only one"),
        (answer(500, "SESAME"), "answers 500"),
    ):
        receiver.behave(behaviour)
        result = command("healthchecks", "--url", receiver.url, "--key-file", key)
        assert result.exit_code == 1, text
        assert text in result.stderr
        assert "SESAME" not in result.output
    for arguments, text in (
        ((), "give either a file or --url"),
        (("--url", receiver.url), "and --key-file"),
        (("--url", "ftp://x", "--key-file", key), "--url needs an http or https URL"),
        (("--url", "http://127.0.0.1:1", "--key-file", key), "http://127.0.0.1:1/api/v3/checks/: "),
    ):
        assert text in command("healthchecks", *arguments).stderr
