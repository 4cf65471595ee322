"""`notify test` through a real webhook to a real receiver: it says what the other side said, or why it could not."""

import json
import time
from datetime import datetime
from pathlib import Path

import jsonschema
from click.testing import Result

from tests.cli.test_main import refused, run
from tests.support.receivers import Receiver, answer

SECRET = "/SESAME-hook"


def config(tmp_path: Path, url: str) -> Path:
    file = tmp_path / "heartbeats.yml"
    file.write_text(
        "web: {external_url: https://heartbeats.example.org}\n"
        f"notifiers:\n  - {{name: ops, type: webhook, url: '{url}', timeout: 2s}}\n"
        f"  - {{name: the boss, type: webhook, url: '{url}'}}\n"
    )
    return file


def notify(file: Path, name: str = "ops") -> Result:
    result = run("notify", "test", name, "--config.file", str(file))
    assert "SESAME" not in result.output
    return result


def test_both_messages_arrive_and_say_that_they_are_a_test(tmp_path: Path) -> None:
    with Receiver(answer(200, "thanks for nothing")) as receiver:
        result = notify(config(tmp_path, receiver.url + SECRET))
        assert notify(config(tmp_path, receiver.url + SECRET), "the boss").exit_code == 0
    assert result.exit_code == 0, result.output
    assert result.output == (
        "TRIGGERED: delivered to ops (webhook): 200 thanks for nothing\n"
        "RESOLVED: delivered to ops (webhook): 200 thanks for nothing\n"
    )
    alarm, recovery, *others = receiver.received
    assert alarm.target == SECRET
    assert len({request.headers["idempotency-key"] for request in (alarm, recovery, *others)}) == 4
    for request, status in ((alarm, "TRIGGERED"), (recovery, "RESOLVED")):
        body = request.body.decode()
        assert isinstance(json.loads(body), dict)
        assert status in body
        assert "Test alert" in body
        assert "no action is needed" in body
        assert "https://heartbeats.example.org" in body


def test_a_refusal_is_told_and_nothing_more_is_sent(tmp_path: Path) -> None:
    with Receiver(answer(404, "no such hook")) as receiver:
        result = notify(config(tmp_path, receiver.url + SECRET))
    refused(result, "TRIGGERED: not delivered to ops (webhook)", "answered 404", "no such hook")
    assert len(receiver.received) == 1


def test_a_recovery_that_fails_fails_the_test(tmp_path: Path) -> None:
    with Receiver(answer(200, "fine"), answer(500, "no")) as receiver:
        result = notify(config(tmp_path, receiver.url + SECRET))
    refused(result, "TRIGGERED: delivered to ops (webhook): 200 fine", "RESOLVED: not delivered", "answered 500")


def test_nobody_there(tmp_path: Path) -> None:
    refused(notify(config(tmp_path, f"http://127.0.0.1:9{SECRET}")), "not delivered", "connection refused")


def test_what_cannot_be_tried(tmp_path: Path) -> None:
    file = config(tmp_path, f"http://127.0.0.1:9{SECRET}")
    refused(notify(file, "opps"), "the configuration has no notifier 'opps': it has ops, the boss")
    empty = tmp_path / "empty.yml"
    empty.write_text("monitors: []\n")
    refused(notify(empty), "it has none: define them under notifiers")
    refused(run("notify", "test", "ops"), "--config.file", code=2)
    refused(run("notify", "test", "ops", "--config.file", str(tmp_path / "gone.yml")), "no such file")
    file.write_text("notifiers: [{name: ops, type: webhok, url: x}]\n")
    refused(notify(file), f"{file}:1: notifiers[0].type", "webhook")


def test_every_notifier_is_in_the_schema_with_the_files_of_its_secrets(tmp_path: Path) -> None:
    from exporter.notify.notifiers import notifier_types

    schema = json.loads(run("check-config", "--schema").output)
    jsonschema.Draft202012Validator.check_schema(schema)
    kinds = {name.partition(".")[2] for name in schema["$defs"] if name.startswith("notifier.")}
    assert kinds == set(notifier_types())

    def fits(**entry: object) -> bool:
        document = {"notifiers": [entry]}
        return bool(jsonschema.Draft202012Validator(schema).is_valid(document))

    assert fits(name="ops", type="webhook", url="https://x.example")
    assert fits(name="ops", type="webhook", url_file="hook", group_wait="5s")
    assert not fits(name="ops", type="webhook")
    assert not fits(name="ops", type="webhook", url="https://x.example", url_file="hook")
    assert not fits(name="ops", type="webhook", url="https://x.example", nonsense=1)
    assert not fits(name="ops", type="carrier-pigeon", url="https://x.example")
    assert not fits(type="webhook", url="https://x.example")
    assert not fits(name="ops", url="https://x.example")


def test_it_is_of_now_marked_and_its_links_work(tmp_path: Path) -> None:
    before = int(time.time())
    with Receiver() as receiver:
        file = config(tmp_path, receiver.url + SECRET)
        file.write_text(file.read_text() + f"  - {{name: chat, type: slack, url: '{receiver.url}', title: 'hello'}}\n")
        assert notify(file).exit_code == 0
        assert notify(file, "chat").exit_code == 0
    for request in receiver.received[:2]:
        body = request.json
        assert body["headline"].startswith("[TEST] ")
        assert "[TEST]" in body["alert_name"]
        assert body["monitor_url"] == body["alert_cta_url"] == "https://heartbeats.example.org/"
        assert before <= datetime.fromisoformat(body["sent_for"]).timestamp() <= time.time()
        assert "monitors/" not in request.body.decode()
    assert receiver.received[0].json["triggered_at"] == receiver.received[1].json["triggered_at"]
    assert receiver.received[2].json["text"] == "[TEST] hello"
