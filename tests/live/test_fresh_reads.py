"""What curl was told is what the very next scrape, page and API read show."""

import json
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from tests.live.conftest import SECRET, Starter, curl, monitors

OPENER = build_opener(ProxyHandler({}))


def get(url: str) -> str:
    with OPENER.open(Request(url)) as response:
        return str(response.read().decode())


def test_the_read_after_the_answer_shows_the_heartbeat(start: Starter) -> None:
    tags = [f"job{number:02}" for number in range(30)]
    service = start(monitors(*tags, "failing", "slow", max_runtime="1h"))

    def status(tag: str) -> str:
        body = get(f"{service.url}/metrics")
        return next(name for name in ("NO_DATA", "UP", "DOWN") if f'{{status="{name}",tag="{tag}"}} 1.0' in body)

    for tag in tags:  # without a process in between: the next request comes within a millisecond
        assert json.loads(get(f"{service.url}/ext/heartbeat/{tag}:{SECRET}")) == {"status": "OK"}
        assert status(tag) == "UP"
        assert json.loads(get(f"{service.url}/api/v1/monitors/{tag}"))["status"] == "UP"
    for suffix, wanted in (("/fail", "DOWN"), ("", "UP"), ("/3", "DOWN"), ("/start", "DOWN"), ("/0", "UP")) * 3:
        get(f"{service.url}/ext/heartbeat/failing:{SECRET}{suffix}")
        assert status("failing") == wanted, suffix
        get(f"{service.url}/ext/heartbeat/failing:{SECRET}/log")
        assert json.loads(get(f"{service.url}/api/v1/monitors/failing"))["status"] == wanted
        page = get(f"{service.url}/monitors/failing")
        assert f'class="hero s-{wanted}"' in page
    assert json.loads(get(f"{service.url}/api/v1/monitors?status=UP&q=job0"))["monitors"][-1]["tag"] == "job09"
    assert status("slow") == "NO_DATA"


def test_curl_and_a_scrape_right_after_it(start: Starter, tmp_path: Path) -> None:
    service = start(monitors(*(f"job{number}" for number in range(10))))
    for number in range(10):
        both = curl(service.url + f"/ext/heartbeat/job{number}:{SECRET}", "--next", "-sS", service.url + "/metrics")
        assert f'heartbeat_status{{status="UP",tag="job{number}"}} 1.0' in both.body
