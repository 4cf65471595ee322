"""What a message says, read as the person who gets it."""

from dataclasses import replace

import pytest

from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.clock import DAY, HOUR, MINUTE
from exporter.core.status import Reason, Status
from exporter.core.status_attributes import STATUS_ATTRIBUTES
from exporter.notify.samples import SAMPLE_AT, SAMPLE_SITE, nasty_samples, sample, samples
from exporter.presentation.describe import color, headline, icon, listing, plain_text
from exporter.presentation.message import AlertSnapshot, Event, Message, Site
from exporter.presentation.text import readable


def about(event: Event = Event.TRIGGERED, **changes: object) -> Message:
    facts = replace(
        AlertSnapshot(
            alert_id="1",
            rule="backup-missed",
            severity=Severity.CRITICAL,
            tag="nightly-backup",
            name="Nightly backup",
            schedule="0 3 * * *",
            timezone="Europe/Rome",
            status=Status.DOWN,
            reason=Reason.MISSED,
            at=SAMPLE_AT,
            triggered_at=SAMPLE_AT,
            due_at=SAMPLE_AT - 12 * MINUTE,
        ),
        **changes,
    )
    return Message("k", event, (facts,), SAMPLE_SITE, SAMPLE_AT)


def test_what_the_monitor_is_about_and_its_runbook_are_in_an_alarm() -> None:
    more = {"about": "Copies the database\nto the other site", "runbook_url": "https://wiki.example.org/backup#1"}
    text = plain_text(about(**more))
    assert "\nAbout: Copies the database to the other site\nRunbook: https://wiki.example.org/backup#1\n" in text
    over = plain_text(about(Event.RESOLVED, **OVER, **more))
    assert "Runbook" not in over
    assert "About" not in over
    assert "Runbook" not in plain_text(about())
    assert len(plain_text(about(about="x" * 5000))) < 1000


OVER = {"resolved_at": SAMPLE_AT + 47 * MINUTE, "at": SAMPLE_AT + 47 * MINUTE}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (about(), "DOWN: Nightly backup, missed, 12 min late"),
        (about(schedule=None), "DOWN: Nightly backup, missed, no success for 12 min"),
        (about(status=Status.DEGRADED, reason=Reason.LATE), "DEGRADED: Nightly backup, 12 min late"),
        (about(due_at=None), "DOWN: Nightly backup, missed"),
        (about(reason=Reason.FAILED, exit_code=3), "DOWN: Nightly backup, failed, exit code 3"),
        (about(reason=Reason.FAILED), "DOWN: Nightly backup, failed"),
        (about(reason=Reason.OVERRUN), "DOWN: Nightly backup, overrun, a run exceeded its maximum runtime"),
        (
            about(status=Status.NO_DATA, reason=Reason.NEVER_RECEIVED),
            "NO DATA: Nightly backup, no heartbeat received yet",
        ),
        (about(Event.REPEATED, at=SAMPLE_AT + 4 * HOUR), "Still DOWN: Nightly backup, missed, 4 h 12 min late"),
        (about(Event.RESOLVED, **OVER), "Recovered: Nightly backup was DOWN for 47 min"),
        (
            about(Event.RESOLVED, **OVER, ending=ResolveReason.RECOVERED),
            "Recovered: Nightly backup was DOWN for 47 min",
        ),
        (
            about(Event.RESOLVED, **OVER, ending=ResolveReason.RULE_REMOVED),
            "Ended: Nightly backup, the rule was removed; it was DOWN for 47 min",
        ),
        (about(name="two\nlines \x1b[31mred\x1b[0m"), "DOWN: two lines red, missed, 12 min late"),
        (about(name=""), "DOWN: nightly-backup, missed, 12 min late"),
        (sample(Event.TRIGGERED, count=2), "2 monitors DOWN: Nightly backup, Job 001"),
        (sample(Event.REPEATED, count=2), "2 monitors still DOWN: Nightly backup, Job 001"),
        (sample(Event.RESOLVED, count=2), "Recovered: 2 monitors: Nightly backup, Job 001"),
        (
            sample(Event.TRIGGERED, count=1_200),
            "1,200 monitors in trouble (600 DOWN, 300 DEGRADED, 300 NO DATA): "
            "Nightly backup, Job 001, Job 002 and 1,197 more",
        ),
    ],
)
def test_headline(message: Message, told: str) -> None:
    assert headline(message) == told


def test_two_alerts_of_one_monitor_are_one_monitor() -> None:
    facts = about().first
    message = Message("k", Event.TRIGGERED, (facts, replace(facts, rule="other")), SAMPLE_SITE, SAMPLE_AT)
    assert headline(message) == "DOWN: Nightly backup, missed, 12 min late"


def test_an_alarm_says_what_a_person_needs() -> None:
    assert plain_text(sample(Event.TRIGGERED)) == (
        "Free some space on the archive disk, then start backup.sh by hand.\n"
        "Status: DOWN, missed, 12 min late\n"
        "Since: Tue 24 Nov 2026, 04:10:00 Europe/Rome (2 min)\n"
        "Due: Tue 24 Nov 2026, 04:00:00 Europe/Rome\n"
        "Last success: Mon 23 Nov 2026, 04:00:00 Europe/Rome\n"
        "Monitor: Nightly backup (nightly-backup)\n"
        "Group: Storage\n"
        "Labels: team=storage, host=db1\n"
        "Alert: backup-missed (critical)\n"
        "Monitor page: https://heartbeats.example.org/monitors/nightly-backup\n"
        "Incident page: https://heartbeats.example.org/incidents/1\n"
        "Last output:\n"
        "copying /var/lib/postgresql\n"
        "98% of 412 GB\n"
        "tar: archive.tar: no space left on device"
    )


def test_a_recovery_is_short() -> None:
    assert plain_text(sample(Event.RESOLVED)) == (
        "Was: DOWN, missed, 59 min late\n"
        "Since: Tue 24 Nov 2026, 04:10:00 Europe/Rome\n"
        "Recovered: Tue 24 Nov 2026, 04:59:00 Europe/Rome, after 49 min\n"
        "Monitor: Nightly backup (nightly-backup)\n"
        "Alert: backup-missed (critical)\n"
        "Monitor page: https://heartbeats.example.org/monitors/nightly-backup\n"
        "Incident page: https://heartbeats.example.org/incidents/1"
    )


def test_a_recovery_whose_alarm_never_came_tells_both() -> None:
    told = sample(Event.RESOLVED)
    late = Message("k", told.event, told.alerts, told.site, told.enqueued_at, frozenset({told.first.alert_id}))
    text = plain_text(late)
    assert text.splitlines()[2] == "Note: the alert resolved before its first notification could be delivered"
    assert "the alert resolved before its first notification could be delivered" in text
    assert "no space left on device" in text
    assert "start backup.sh by hand" in text


def test_many_get_a_line_each() -> None:
    text = plain_text(sample(Event.TRIGGERED, count=500))
    assert text.startswith("🔴 Nightly backup: DOWN, missed, 12 min late\n🔴 Job 001: DOWN, failed, exit code 3\n")
    assert text.endswith("\n… and 480 more\n\nAll monitors: https://heartbeats.example.org/")
    assert len(text.splitlines()) == 20 + 1 + 2


def test_a_list_ends_where_there_is_no_room() -> None:
    message = sample(Event.TRIGGERED, count=12)
    assert listing(message, lambda facts: facts.tag[:7], room=24) == ["nightly", "job-001", "job-002", "… and 9 more"]
    assert listing(message, lambda facts: facts.tag[:7], room=1_000)[-1] == "job-011"


def test_an_alert_that_merely_ended_is_not_green() -> None:
    for ending in ResolveReason:
        message = about(Event.RESOLVED, **OVER, ending=ending)
        recovered = ending is ResolveReason.RECOVERED
        assert (icon(message) == "🟢") is recovered
        assert (color(message) == STATUS_ATTRIBUTES[Status.UP].color) is recovered


def test_every_ending_and_reason_has_words() -> None:
    for ending in ResolveReason:
        assert "_" not in headline(about(Event.RESOLVED, **OVER, ending=ending))
    for reason in Reason:
        assert "_" not in headline(about(reason=reason))


def test_links_lead_to_the_site() -> None:
    site = Site("https://example.org/hb", "Ours")
    assert "https://example.org/hb/monitors/nightly-backup" in plain_text(sample(Event.TRIGGERED, site))


@pytest.mark.parametrize("message", [*samples(), *nasty_samples()], ids=lambda message: message.key)
def test_whatever_comes_is_short_and_readable(message: Message) -> None:
    line, text = headline(message), plain_text(message)
    assert readable(line) == line
    assert readable(text) == text
    assert "\n" not in line
    assert len(line) < 900
    assert len(text) < 16_000


def test_a_clock_that_is_wrong_breaks_nothing() -> None:
    for at in (0, -1, SAMPLE_AT - DAY, 2**62):
        message = about(at=at, triggered_at=at, since=at)
        assert headline(message)
        assert plain_text(message)
