"""Kener: what its database and its API have becomes our configuration, and what is left out is named."""

import json
import subprocess
from pathlib import Path
from typing import Any

from exporter.core.clock import MINUTE
from exporter.core.status import Status
from tests.importing.conftest import Takes, command, write
from tests.support.postgres import running

SECRET = "swift-otter-$HOME-calm"


def monitor(id: int, tag: str, **values: Any) -> dict[str, Any]:
    heartbeat = {"degradedRemainingMinutes": 3, "downRemainingMinutes": 15, "secretString": f"{SECRET}-{id}"}
    return {
        "id": id,
        "tag": tag,
        "name": f"Job {id}",
        "description": "text\nof two lines",
        "cron": "* * * * *",
        "status": "ACTIVE",
        "category_name": "Ops",
        "monitor_type": "HEARTBEAT",
        "type_data": json.dumps(heartbeat),
        "confirmation_threshold": 1,
        **values,
    }


def alert(id: int, **values: Any) -> dict[str, Any]:
    return {
        "id": id,
        "monitor_tag": None,
        "alert_for": "STATUS",
        "alert_value": "DOWN",
        "failure_threshold": 2,
        "success_threshold": 3,
        "alert_description": "Look at {{ it }} $x",
        "create_incident": "YES",
        "is_active": "YES",
        "severity": "WARNING",
        **values,
    }


def trigger(id: int, name: str, kind: str, status: str = "ACTIVE", **meta: Any) -> dict[str, Any]:
    return {
        "id": id,
        "name": name,
        "trigger_type": kind,
        "trigger_desc": None,
        "trigger_status": status,
        "trigger_meta": json.dumps(meta),
    }


TABLES = {
    "monitors": [
        monitor(1, "nightly"),
        monitor(
            2, "hourly", cron="0 * * * *", status="INACTIVE", type_data=json.dumps({"secretString": "only-secret"})
        ),
        monitor(3, "web", monitor_type="API", type_data="{}"),
        monitor(4, "broken", type_data="{not json"),
        monitor(5, "slow", confirmation_threshold=3),
        monitor(6, "wrong", type_data=json.dumps({"secretString": "s3cret-of-wrong", "downRemainingMinutes": 1})),
    ],
    "triggers": [
        trigger(
            1,
            "Hook",
            "webhook",
            url="https://example.org/$TEAM/hook",
            headers=[{"key": "Authorization", "value": "Bearer $TOKEN"}, {"key": "X-Price", "value": "5$"}],
            webhook_body='{"text": "{{alert_name}}{{#is_resolved}} is over{{/is_resolved}}"}',
        ),
        trigger(2, "Chat", "slack", "INACTIVE", url="$SLACK_URL", slack_body="{}"),
        trigger(3, "Mail", "email", to="ops@example.org", **{"from": "K <k@example.org>"}),
        trigger(4, "Hook", "discord", url="https://discord.com/api/webhooks/1/x"),
        trigger(5, "Odd", "webhook", url="https://example.org/", webhook_body="{{> partial}}"),
    ],
    "monitor_alerts_config": [
        alert(1),
        alert(2, monitor_tag="hourly", alert_value="DEGRADED", create_incident="NO", severity="CRITICAL"),
        alert(3, alert_for="LATENCY", alert_value="1000"),
        alert(4, is_active="NO"),
    ],
    "monitor_alerts_config_monitors": [
        {"monitor_alerts_id": 1, "monitor_tag": "nightly"},
        {"monitor_alerts_id": 1, "monitor_tag": "web"},
        {"monitor_alerts_id": 1, "monitor_tag": "slow"},
        {"monitor_alerts_id": 4, "monitor_tag": "web"},
    ],
    "monitor_alerts_config_triggers": [
        {"monitor_alerts_id": 1, "trigger_id": 1},
        {"monitor_alerts_id": 1, "trigger_id": 3},
        {"monitor_alerts_id": 2, "trigger_id": 2},
    ],
    "maintenances": [
        {
            "id": 1,
            "title": "Patch day",
            "description": "monthly",
            "start_date_time": 1_795_532_400,
            "rrule": "FREQ=WEEKLY;BYDAY=TU",
            "duration_seconds": 3600,
            "status": "ACTIVE",
            "is_global": "NO",
        },
        {
            "id": 2,
            "title": "Old",
            "description": None,
            "start_date_time": 1_795_532_400,
            "rrule": "FREQ=MINUTELY;COUNT=1",
            "duration_seconds": 600,
            "status": "INACTIVE",
            "is_global": "NO",
        },
    ],
    "maintenance_monitors": [{"id": 1, "maintenance_id": 1, "monitor_tag": "nightly"}],
}
ENVIRON = {"TEAM": "sre", "TOKEN": "SESAME-t", "SLACK_URL": "https://hooks.slack.com/services/x"}


def check_taken(take: Takes, source: Path) -> None:
    settings, remarks = take("kener", source, environ=ENVIRON)
    monitors = {entry.monitor.tag: entry for entry in settings.monitors}
    assert list(monitors) == ["nightly", "hourly", "slow"]
    nightly, hourly = monitors["nightly"].monitor, monitors["hourly"].monitor
    assert monitors["nightly"].secret.reveal() == f"{SECRET}-1", "a dollar sign stays one"
    assert (nightly.name, nightly.group, nightly.evaluation_cron, nightly.paused) == ("Job 1", "Ops", None, False)
    assert (nightly.degraded_after, nightly.down_after) == (3 * MINUTE, 15 * MINUTE)
    assert (hourly.degraded_after, hourly.down_after) == (5 * MINUTE, 10 * MINUTE)
    assert (hourly.evaluation_cron, hourly.schedule, hourly.paused) == ("0 * * * *", None, True)
    first, second = settings.alerts
    assert first.selector.tags == ("nightly", "slow")
    assert (first.when, first.failure_threshold, first.success_threshold) == ((Status.DOWN,), 2, 3)
    assert (first.severity, first.create_incident, first.notify) == ("warning", True, ("Hook",))
    assert first.description == "Look at {{ it }} $x"
    assert (second.when, second.severity, second.notify) == ((Status.DEGRADED,), "critical", ("Chat",))
    options: dict[str, Any] = {notifier.name: notifier.options for notifier in settings.notifiers}
    assert list(options) == ["Hook", "Chat", "Hook 2", "Odd"]
    assert options["Hook"].url.reveal() == "https://example.org/sre/hook"
    assert options["Hook"].authorization.reveal() == "Bearer SESAME-t"
    assert options["Hook"].headers["X-Price"].reveal() == "5$"
    assert options["Hook"].body is not None
    assert options["Odd"].body is None
    assert options["Chat"].url.reveal() == ENVIRON["SLACK_URL"]
    assert [window.name for window in settings.maintenances] == ["Patch day"]
    for line in (
        "monitor web: not taken over: it is no heartbeat monitor (API)",
        "monitor broken: not taken over: it has no secret",
        "monitor slow: confirmation_threshold 3 has no counterpart",
        "monitor wrong: not taken over: ",
        "trigger Mail: not taken over: Kener keeps the mail server in its environment",
        "trigger Chat: is INACTIVE, and sends all the same",
        "trigger Chat: its own body was not taken over",
        "trigger Odd: its body was not taken over ('{{> partial}}' has no counterpart)",
        "alert configuration 3: not taken over: it watches LATENCY",
        "alert configuration 4: not taken over: none of its monitors was",
        "maintenance Old: not taken over",
        "Set these in the exporter's environment: SLACK_URL, TEAM, TOKEN",
        "3 monitors, 0 ping keys, 2 alert rules, 4 notifiers, 1 maintenances. Nothing was changed.",
    ):
        assert line in remarks
    assert "s3cret-of-wrong" not in remarks
    assert SECRET not in remarks


def test_its_sqlite_database(take: Takes, tmp_path: Path) -> None:
    check_taken(take, write(tmp_path / "kener.sqlite.db", TABLES))


def test_a_plain_dump_of_its_postgresql_database(take: Takes, tmp_path: Path) -> None:
    """Written by the real pg_dump."""
    with running() as server:
        url = server.create()
        lines = []
        for table, rows in TABLES.items():
            columns = list(rows[0])
            lines.append(f"CREATE TABLE {table} ({', '.join(f'{name} text' for name in columns)});")
            for row in rows:
                values = ", ".join("NULL" if row[name] is None else _literal(str(row[name])) for name in columns)
                lines.append(f"INSERT INTO {table} VALUES ({values});")
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", url], input="\n".join(lines), text=True, check=True)
        dump = tmp_path / "kener.sql"
        subprocess.run(["pg_dump", "--file", dump, url], check=True)
    check_taken(take, dump)
    whole = dump.read_bytes()
    cut = tmp_path / "cut.sql"
    cut.write_bytes(whole[: whole.index(b"COPY public.monitors ") + 400])
    assert "cut off" in command("kener", cut).stderr


def _literal(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n") + "'"


def test_its_api(take: Takes, tmp_path: Path) -> None:
    monitors = [
        {**row, "type_data": {"secretString": "of-the-api", "downRemainingMinutes": 20}}
        for row in TABLES["monitors"][:1]
    ]
    source = tmp_path / "answer.json"
    source.write_text(json.dumps({"monitors": monitors}))
    settings, remarks = take("kener", source)
    assert settings.monitors[0].secret.reveal() == "of-the-api"
    assert "alerts and triggers: not taken over" in remarks


def test_what_is_no_database_of_kener(tmp_path: Path) -> None:
    older = {name: rows for name, rows in TABLES.items() if not name.startswith("monitor_alerts_config")}
    for source, text in (
        (write(tmp_path / "older.db", older), "let Kener 4 upgrade it first"),
        (write(tmp_path / "foreign.db", {"users": []}), "no database of Kener 4: it has no table monitors, triggers"),
    ):
        result = command("kener", source)
        assert result.exit_code == 1
        assert text in result.stderr
        assert not result.stdout
