"""The log of a real service tells a monitor's story, in fields."""

import json
import subprocess
import sys
from collections.abc import Callable

from tests.live.conftest import ROOT, SECRET, Service, Starter, curl, eventually
from tests.support.receivers import Receiver

TOKEN = "a-token-of-the-story"
HOOK = "SESAME-hook"


def config(hook: str) -> str:
    return f"""
log: {{format: json}}
web: {{auth: {{token: {TOKEN}}}}}
monitors:
  - {{tag: job, secret: {SECRET}}}
notifiers:
  - {{name: ops, type: webhook, url: "{hook}", group_wait: 0s}}
alerts:
  - {{name: failing, when: [DOWN], severity: critical, create_incident: true, notify: [ops]}}
"""


def events(service: Service) -> Callable[[str], list[dict[str, object]]]:
    def of(event: str) -> list[dict[str, object]]:
        found = [json.loads(line) for line in service.output().splitlines() if line.startswith("{")]
        return [one for one in found if one["event"] == event]

    return of


def test_a_failure_and_its_end(start: Starter) -> None:
    with Receiver() as receiver:
        service = start(config(f"{receiver.url}/{HOOK}"))
        of = events(service)
        assert [line["monitor"] for line in of("monitor added")] == ["job"]
        service.ping("job")
        service.ping("job", "/fail")
        (delivered,) = eventually(lambda: of("notification delivered"))  # type: ignore[misc]
        (firing,) = of("alert firing")
        assert firing["monitor"] == delivered["monitor"] == "job"
        assert (firing["rule"], firing["status"], firing["reason"]) == ("failing", "DOWN", "failed")
        assert (delivered["alert"], delivered["alerts"], delivered["notifier"]) == (firing["alert"], 1, "ops")
        assert delivered["key"]
        (opened,) = of("incident opened")
        assert opened["incident"] == firing["incident"]
        url = f"{service.url}/api/v1/incidents/{opened['incident']}/acknowledge"
        answer = curl("-H", f"Authorization: Bearer {TOKEN}", "--json", '{"author": "ann"}', url)
        assert answer.status == 200, answer.body
        assert of("incident acknowledged")[0]["author"] == "ann"
        service.ping("job")
        eventually(lambda: len(of("notification delivered")) == 2)
        assert of("alert resolved")[0]["reason"] == "recovered"
        assert of("incident resolved")[0]["incident"] == opened["incident"]
        assert [line["status"] for line in of("status changed")] == ["UP", "DOWN", "UP"]
        assert [line["previous"] for line in of("status changed")] == ["NO_DATA", "UP", "DOWN"]
        new = curl(
            "-H", f"Authorization: Bearer {TOKEN}", "--json", '{"tag": "other"}', f"{service.url}/api/v1/monitors"
        )
        assert new.status == 201
        assert of("monitor added")[-1]["monitor"] == "other"
        for text in (SECRET, TOKEN, HOOK, json.loads(new.body)["secret"]):
            assert text not in service.output()


def test_refused_heartbeats_are_named_without_their_secret(start: Starter) -> None:
    service = start(config("http://127.0.0.1:9/"))
    secret = "SESAME-tried"
    body = ("-d", "output")
    assert service.ping("job", "", secret=secret).status == 404
    assert service.ping("jbo", "", *body, secret=secret).status == 404
    assert service.ping("job", "/failed").status == 404
    assert service.ping(secret, "", secret="job").status == 404
    assert curl("-H", f"Authorization: Bearer {secret}", f"{service.url}/ext/heartbeat/other/start").status == 404
    bearer = ("-H", f"Authorization: Bearer {TOKEN}")
    answer = json.loads(curl(*bearer, f"{service.url}/api/v1/refusals").body)
    assert [(one["reason"], one["tag"]) for one in answer["refusals"]] == [
        ("unknown_tag", "other"),
        ("unknown_tag", ""),
        ("unknown_suffix", "job"),
        ("unknown_tag", "jbo"),
        ("wrong_secret", "job"),
    ]
    assert curl(f"{service.url}/refusals").status == 401
    page = curl(*bearer, f"{service.url}/refusals").body
    assert ">jbo</td>" in page
    lines = [json.loads(line) for line in service.output().splitlines() if line.startswith("{")]
    (line,) = [one for one in lines if one["event"].startswith("heartbeat refused")]
    assert (line["tag"], line["reason"], line["address"]) == ("job", "wrong_secret", "127.0.0.1")
    options = ("--config.file", str(service.config), "--url", service.url, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "doctor", *options, "--storage.url", service.storage],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (finding,) = [one for one in json.loads(done.stdout)["checks"] if one["check"] == "refusals"]
    assert finding["result"] == "warning", finding
    assert "5 heartbeats refused" in finding["text"]
    for text in (page, service.output(), done.stdout, json.dumps(answer)):
        assert secret not in text
        assert SECRET not in text
