"""From a missed heartbeat to somebody's receiver, with the real program: in time, once, and whatever breaks."""

import http.client
import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually, monitors
from tests.support.receivers import Behaviour, Receiver, answer, reset, silence
from tests.support.tools import run_tool

pytestmark = pytest.mark.live
SLACK_LIKE = "SESAME-hook-T000-B000"


def notifier(name: str, receiver: Receiver, **options: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in {"group_wait": "0s", **options}.items())
    return f'  - {{name: {name}, type: webhook, url: "{receiver.url}/{SLACK_LIKE}"{more}}}\n'


def rule(name: str = "down", *notify: str, **options: str) -> str:
    more = "".join(f", {key.rstrip('_')}: {value}" for key, value in options.items())
    return f"alerts:\n  - {{name: {name}, notify: [{', '.join(notify or ('ops',))}]{more}}}\n"


def told(receiver: Receiver, event: str = "TRIGGERED") -> dict[str, set[str]]:
    """The keys under which each tag was told of, by tag."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for request in list(receiver.received):
        if request.json["event"] == event:
            for alert in request.json["alerts"]:
                found[alert["monitor_tag"]].add(request.json["idempotency_key"])
    return found


def announced(receiver: Receiver) -> set[str]:
    """Tags whose alarm was told: by itself, or together with its end."""
    late = {
        alert["monitor_tag"]
        for request in list(receiver.received)
        for alert in request.json["alerts"]
        if alert["is_unannounced"]
    }
    return set(told(receiver)) | late


def test_a_missed_deadline_is_told_within_two_seconds(start: Starter) -> None:
    arrived: list[tuple[float, Any]] = []

    def clocked(client: Any, request: Any, over: threading.Event) -> None:
        arrived.append((time.time(), request.json))
        answer(200)(client, request, over)

    with Receiver(clocked) as receiver:
        fast = monitors("job", degraded_after="1s", down_after="2s", name="'Nightly backup'")
        service = start(fast + rule(create_incident="true") + "notifiers:\n" + notifier("ops", receiver))
        service.ping("job")
        eventually(lambda: arrived)
        moment, alarm = arrived[0]
        deadline = datetime.fromisoformat(alarm["alerts"][0]["triggered_at"]).timestamp()
        assert 0 <= moment - deadline <= 2
        assert alarm["alert_status"] == "TRIGGERED"
        assert alarm["monitor_name"] == "Nightly backup"
        assert receiver.received[0].headers["idempotency-key"] == alarm["idempotency_key"]
        eventually(lambda: service.metrics()["heartbeat_alert_firing", "down", "critical", "job"] == 1, 2)
        eventually(lambda: service.metrics()["heartbeat_exporter_incidents_open",] == 1, 2)
        service.ping("job")
        eventually(lambda: len(arrived) == 2)
        recovery = arrived[1][1]
        assert (recovery["event"], recovery["alert_id"]) == ("RESOLVED", alarm["alert_id"])
        eventually(lambda: ("heartbeat_alert_firing", "down", "critical", "job") not in service.metrics(), 2)
        eventually(lambda: service.metrics()["heartbeat_exporter_incidents_open",] == 0, 2)
        metrics = service.metrics()
        assert metrics["heartbeat_exporter_notifications_sent_total", "ops"] == 2
        assert metrics["heartbeat_exporter_notification_delivery_seconds_count", "ops"] == 2
        run_tool("promtool", "check", "metrics", input=curl(f"{service.url}/metrics").body)
        assert "SESAME" not in service.output()


def test_who_answers_nothing_delays_nobody(start: Starter) -> None:
    """A black hole, one that is busy, one that breaks off, one with trouble of its own, and one that works."""
    behaviours: dict[str, list[Behaviour]] = {
        "hole": [silence],
        "busy": [answer(429, Retry_After="2"), answer(200)],
        "broken": [reset, answer(200)],
        "sick": [answer(500), answer(503), answer(200)],
        "gone": [answer(404, "no_such_hook")],
        "well": [answer(200)],
    }
    receivers = {name: Receiver(*some) for name, some in behaviours.items()}
    config = "notifiers:\n" + "".join(
        notifier(name, receiver, **({"timeout": "2s"} if name == "hole" else {}))
        for name, receiver in receivers.items()
    )
    for receiver in receivers.values():
        receiver.__enter__()
    try:
        service = start(monitors("job") + rule("down", *receivers) + config)
        service.ping("job", "/fail")
        began = time.monotonic()
        eventually(lambda: receivers["well"].received, 5)
        assert time.monotonic() - began < 3
        for name, tries in (("busy", 2), ("broken", 2), ("sick", 3)):
            eventually(lambda name=name, tries=tries: len(receivers[name].received) == tries, 30)  # type: ignore[misc]
            assert len({request.headers["idempotency-key"] for request in receivers[name].received}) == 1
        eventually(lambda: len(receivers["hole"].received) >= 2, 20)
        eventually(lambda: service.metrics()["heartbeat_exporter_notifications_dead", "gone"] == 1)
        metrics = service.metrics()
        assert metrics["heartbeat_exporter_notifications_failed_total", "gone", "rejected"] == 1
        assert metrics["heartbeat_exporter_notifications_failed_total", "busy", "rate_limited"] == 1
        assert metrics["heartbeat_exporter_notifications_failed_total", "sick", "server_error"] == 2
        assert metrics["heartbeat_exporter_notifications_failed_total", "hole", "timeout"] >= 1
        assert metrics["heartbeat_exporter_notifications_pending", "hole"] == 1
        assert metrics["heartbeat_exporter_notifications_oldest_pending_age_seconds", "hole"] > 0
        assert len(receivers["gone"].received) == 1
        assert "SESAME" not in service.output()
    finally:
        for receiver in receivers.values():
            receiver.__exit__(None, None, None)


def test_a_stop_does_not_wait_for_black_holes_and_the_next_start_delivers(start: Starter) -> None:
    holes = [Receiver(silence) for _ in range(4)]
    for hole in holes:
        hole.__enter__()
    try:
        names = [f"hole{number}" for number in range(len(holes))]
        config = "notifiers:\n" + "".join(map(notifier, names, holes))
        service = start(monitors("job") + rule("down", *names) + config)
        service.ping("job", "/fail")
        eventually(lambda: all(hole.received for hole in holes))
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 15
        for hole in holes:
            hole.behave(answer(200))
        service.start_again()
        for hole in holes:
            eventually(lambda hole=hole: len(hole.received) >= 2, 30)  # type: ignore[misc]
            assert len({request.headers["idempotency-key"] for request in hole.received}) == 1
    finally:
        for hole in holes:
            hole.__exit__(None, None, None)


def test_of_two_processes_one_tells_and_the_other_takes_over(start: Starter) -> None:
    with Receiver(answer(200)) as receiver:
        config = monitors("a", "b") + rule() + "notifiers:\n" + notifier("ops", receiver)
        one, other = start(config, "one"), start(config, "other")
        one.ping("a", "/fail")
        eventually(lambda: told(receiver))
        holder, idle = (one, other) if one.metrics()["heartbeat_exporter_lease_held",] else (other, one)
        eventually(lambda: ("heartbeat_alert_firing", "down", "critical", "a") in idle.metrics())
        holder.kill()
        idle.ping("b", "/fail")
        eventually(lambda: set(told(receiver)) == {"a", "b"}, 30)
        assert [len(request.json["alerts"]) for request in receiver.received] == [1, 1]


def test_a_storm_through_kill_9(start: Starter) -> None:
    """500 alarms while the program is killed at any moment: each is delivered, under one key, to each notifier."""
    tags = [f"job{number:03}" for number in range(500)]
    chance = random.Random(7)

    def moody(client: Any, request: Any, over: threading.Event) -> None:
        some: Behaviour = chance.choice([answer(200), answer(200), answer(200), answer(500), reset])
        some(client, request, over)

    with Receiver(moody) as ops, Receiver(answer(200)) as boss:
        config = monitors(*tags) + rule("down", "ops", "boss")
        config += "notifiers:\n" + notifier("ops", ops) + notifier("boss", boss)
        service = start(config)
        sent = threading.Event()

        def fail_all() -> None:
            for tag in tags:
                _insist(service, f"/ext/heartbeat/{tag}:{SECRET}/fail")
            sent.set()

        sender = threading.Thread(target=fail_all)
        sender.start()
        for _ in range(5):
            before = len(boss.received)
            eventually(lambda before=before: len(boss.received) >= before + chance.randint(1, 8) or sent.is_set(), 60)  # type: ignore[misc]
            service.kill()
            service.start_again()
        sender.join(120)
        for receiver in (ops, boss):
            eventually(lambda receiver=receiver: len(told(receiver)) == len(tags), 90)  # type: ignore[misc]
            assert all(len(keys) == 1 for keys in told(receiver).values())
        eventually(lambda: service.metrics()["heartbeat_exporter_notifications_pending", "ops"] == 0, 60)
        assert sum(key[0] == "heartbeat_alert_firing" for key in service.metrics()) == len(tags)
        for receiver in (ops, boss):
            assert all(len(keys) == 1 for keys in told(receiver).values())


@pytest.mark.parametrize("guard", ["off", "{hold: 15s}"], ids=["off", "on"])
def test_a_dead_switch_of_500_monitors_is_one_message_per_notifier(start: Starter, guard: str) -> None:
    """With the ingest guard, one message of its own comes first, and the alarms when its hold ends."""
    tags = [f"job{number:03}" for number in range(500)]
    with Receiver(answer(200)) as ops, Receiver(answer(200)) as boss:
        config = f"ingest_guard: {guard}\n" + monitors(*tags, degraded_after="5s", down_after="6s")
        config += rule("down", "ops", "boss")
        config += "notifiers:\n" + notifier("ops", ops, group_wait="8s") + notifier("boss", boss, group_wait="8s")
        service = start(config)

        def send(some: list[str]) -> None:
            with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
                for tag in some:
                    connection.request("GET", f"/ext/heartbeat/{tag}:{SECRET}")
                    with connection.getresponse() as response:
                        response.read()
                        assert response.status == 200

        # Side by side, so that groups are committed: the deadlines have to lie within the time that a message waits.
        with ThreadPoolExecutor(20) as senders:
            list(senders.map(send, [tags[start::20] for start in range(20)]))
        for receiver in (ops, boss):
            eventually(lambda receiver=receiver: of_monitors(receiver), 90)  # type: ignore[misc]
            assert len(of_monitors(receiver)) == 1
            assert set(told(receiver)) - {""} == set(tags)
            first = receiver.received[0].json
            assert first["rule"] == ("down" if guard == "off" else "ingest_suspect")
            guards = [
                request.json["event"] for request in receiver.received if request.json["rule"] == "ingest_suspect"
            ]
            assert guards == ([] if guard == "off" else ["TRIGGERED", "RESOLVED"])


def of_monitors(receiver: Receiver) -> list[Any]:
    """The messages but for those about the exporter itself."""
    return [request.json for request in list(receiver.received) if request.json["rule"] != "ingest_suspect"]


def test_a_hold_survives_kill_9(start: Starter) -> None:
    """Alerts that are held when the program dies are sent by the next one, once, at the same deadline."""
    tags = [f"job{number:02}" for number in range(20)]
    with Receiver(answer(200)) as receiver:
        config = "ingest_guard: {hold: 20s}\n" + monitors(*tags, degraded_after="2s", down_after="3s")
        config += rule("down", "ops") + "notifiers:\n" + notifier("ops", receiver, group_wait="1s")
        service = start(config)
        for tag in tags:
            service.ping(tag)
        eventually(lambda: sum(key[0] == "heartbeat_alert_held" for key in service.metrics()) == len(tags), 30)
        assert service.metrics()["heartbeat_exporter_ingest_suspect",] == 1
        for _ in range(2):
            service.kill()
            service.start_again()
        assert service.metrics()["heartbeat_exporter_ingest_suspect",] == 1
        assert of_monitors(receiver) == []
        eventually(lambda: set(told(receiver)) - {""} == set(tags), 60)
        assert all(len(keys) == 1 for keys in told(receiver).values())
        eventually(lambda: service.metrics()["heartbeat_exporter_ingest_suspect",] == 0)
        guards = [request.json for request in receiver.received if request.json["rule"] == "ingest_suspect"]
        assert len({message["idempotency_key"] for message in guards if message["event"] == "TRIGGERED"}) == 1
        assert {message["alert_id"] for message in guards} == {guards[0]["alert_id"]}


def test_a_configuration_that_is_wrong_is_named_and_the_old_one_stays(start: Starter) -> None:
    with Receiver(answer(200)) as receiver:
        good = monitors("job") + rule() + "notifiers:\n" + notifier("ops", receiver)
        service = start(good)
        hook = service.config.parent / "hook"
        hook.write_text(f"{receiver.url}/{SLACK_LIKE}\n")
        wrong = {
            monitors("job") + rule("down", "opps") + "notifiers:\n" + notifier("ops", receiver): ":4: alerts[0].notify",
            good.replace("webhook", "webhok"): ":6: notifiers[0].type",
            good.replace(receiver.url, "ftp://here"): ":6: notifiers[0].url",
            good.replace("group_wait: 0s", "body: '{{ nothing }}'"): ":6: notifiers[0].body",
            good.replace("group_wait: 0s", "body: 'not json'"): ":6: notifiers[0].body",
            good.replace(f'url: "{receiver.url}/{SLACK_LIKE}"', "url_file: gone"): ":6: notifiers[0].url_file",
        }
        for text, place in wrong.items():
            service.config.write_text(text)
            reply = curl("-X", "POST", f"{service.url}/-/reload")
            assert reply.status >= 400
            assert "log lists every problem" in reply.body  # no token is set, so anybody may ask
            assert place in service.output()
        service.config.write_text(good.replace(f'url: "{receiver.url}/{SLACK_LIKE}"', "url_file: hook"))
        assert curl("-X", "POST", f"{service.url}/-/reload").status == 200
        hook.unlink()
        assert curl("-X", "POST", f"{service.url}/-/reload").status >= 400
        service.ping("job", "/fail")
        eventually(lambda: receiver.received)
        assert "SESAME" not in service.output()


def test_a_heartbeat_of_our_own(start: Starter) -> None:
    with Receiver(answer(200)) as receiver:
        service = start(monitors("job") + f"self_heartbeat: {{url: '{receiver.url}/{SLACK_LIKE}', interval: 1s}}\n")
        eventually(lambda: len(receiver.received) >= 2)
        assert receiver.received[0].method == "GET"
        assert receiver.received[0].target == f"/{SLACK_LIKE}"
        assert "SESAME" not in service.output()


def _insist(service: Service, path: str) -> None:
    """As `curl --retry` does."""

    def sent() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except http.client.HTTPException as error:
            raise OSError("cut") from error
        finally:
            connection.close()

    eventually(sent, 60)
