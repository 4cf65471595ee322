"""Healthchecks' management API on the real program: a real client, and the requests of Terraform and Ansible."""

import gzip
import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.live.conftest import SECRET, Service, Starter, curl, eventually
from tests.live.test_dialects import client

pytestmark = pytest.mark.live

TOKEN = "SESAME-token-of-the-api"
CONFIG = f"""
web: {{auth: {{token: {TOKEN}}}}}
notifiers:
  - {{name: ops, type: webhook, url: "http://127.0.0.1:9/nobody"}}
monitors:
  - {{tag: filed, secret: {SECRET}}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("checks"), CONFIG).ready()
    yield service
    service.kill()


def request(
    service: Service, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """As urllib sends it, which Ansible uses: a body of any method, as a form unless `headers` say otherwise."""
    fields = {name.replace("_", "-"): value for name, value in {"X_Api_Key": TOKEN, **headers}.items()}
    asked = urllib.request.Request(f"{service.url}{path}", data=body, headers=fields, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=20) as answer:
            content, status, fields = answer.read(), answer.status, dict(answer.headers)
    except urllib.error.HTTPError as refusal:
        content, status, fields = refusal.read(), refusal.code, dict(refusal.headers)
    fields = {name.lower(): value for name, value in fields.items()}
    if fields.get("content-encoding") == "gzip":
        content = gzip.decompress(content)
    return status, json.loads(content), fields


def test_the_real_client(service: Service) -> None:
    client("manage_healthchecks.py", service.url, TOKEN)


def test_what_terraform_sends(service: Service) -> None:
    """kristofferahl/healthchecksio 2: version 1, Go's client, the whole list read for each resource."""
    go = {"Content_Type": "application/json", "Accept_Encoding": "gzip", "User_Agent": "Go-http-client/1.1"}
    _, found, _ = request(service, "GET", "/api/v1/channels/", **go)
    channel = found["channels"][0]["id"]

    def apply(id: str, **members: Any) -> dict[str, Any]:
        """Creates or updates the resource, then reads it as the provider does, and returns what it takes from it."""
        body = json.dumps({"channels": "", "methods": "", **members}, separators=(",", ":")).encode()
        status, check, _ = request(service, "POST", f"/api/v1/checks/{id}", body, **go)
        assert status == (200 if id else 201)
        status, found, headers = request(service, "GET", "/api/v1/checks/", **go)
        assert (status, headers["content-encoding"]) == (200, "gzip")
        id = id or check["update_url"].split("/")[-1]
        (read,) = [each for each in found["checks"] if each["update_url"].split("/")[-1] == id]
        return dict(read)

    wanted = {"desc": "Copies", "grace": 3600, "name": "TF job", "slug": "tf-job", "tags": "a b", "timeout": 120}
    read = apply("", **wanted, channels=channel)
    assert {name: read[name] for name in wanted} == wanted  # so that a plan shows no changes
    assert (read["channels"], read["methods"]) == (channel, "")
    assert read["ping_url"] == f"{service.url}/ping/{read['uuid']}"
    cron = {"grace": 600, "name": "TF job", "slug": "tf-job", "schedule": "0 3 * * *", "tz": "Europe/Rome"}
    changed = apply(read["uuid"], **cron, methods="POST")
    assert {name: changed[name] for name in cron} == cron
    assert (changed["methods"], changed["channels"], "timeout" in changed) == ("POST", "", False)
    assert curl(changed["ping_url"]).body == "OK"
    status, gone, _ = request(service, "DELETE", f"/api/v1/checks/{read['uuid']}", **go)
    assert (status, gone["name"]) == (200, "TF job")
    status, refused, _ = request(service, "DELETE", f"/api/v1/checks/{read['uuid']}", **go)
    assert (status, refused) == (404, {"error": "not found"})


def test_what_ansible_sends(service: Service) -> None:
    """community.healthchecksio: `null` as the body of a GET, all parameters of the module in the body of a POST."""
    status, found, _ = request(service, "GET", "/api/v1/checks", b"null")
    assert status == 200
    everything = {
        "management_api_token": TOKEN,
        "management_api_base_url": f"{service.url}/api/v1",
        "ping_api_base_url": f"{service.url}/ping",
        "ping_api_token": None,
        "name": "Ansible job",
        "tags": "test simple",
        "desc": "my check",
        "timeout": 60,
        "grace": 3600,
        "manual_resume": False,
        "methods": "",
        "channels": "*",
        "unique": ["name"],
        "slug": "",
    }
    body = json.dumps(everything).encode()
    status, made, _ = request(service, "POST", "/api/v1/checks/", body)
    assert status == 201
    uuid = made["ping_url"].split("/")[-1]
    status, found, _ = request(service, "GET", "/api/v1/checks", b"null")
    (present,) = [each for each in found["checks"] if each["name"] == "Ansible job"]
    compared = ("name", "desc", "timeout", "manual_resume", "methods", "slug", "tags", "grace")
    assert {name: present[name] for name in compared} == {name: everything[name] for name in compared}
    channels = request(service, "GET", "/api/v1/channels", b"null")[1]["channels"]
    assert present["channels"].split(",") == sorted(each["id"] for each in channels)
    status, again, _ = request(service, "POST", "/api/v1/checks/", body)
    assert (status, again["uuid"]) == (200, uuid)
    status, paused, _ = request(service, "POST", f"/api/v1/checks/{uuid}/pause", b"null")
    assert (status, paused["status"]) == (200, "paused")
    assert request(service, "GET", f"/api/v1/checks/{uuid}/pings", b"null")[0] == 200
    assert request(service, "GET", f"/api/v1/checks/{uuid}", b"null")[1]["status"] == "paused"
    assert request(service, "DELETE", f"/api/v1/checks/{uuid}")[0] == 200
    assert request(service, "DELETE", f"/api/v1/checks/{uuid}")[0] == 404
    assert request(service, "GET", "/api/v1/checks", b"null", X_Api_Key="wrong-key")[0] == 401


def test_what_was_written_by_one_process_is_read_from_another(start: Starter) -> None:
    """A client of Terraform's kind takes a check that is not in the list for deleted."""
    one = start(CONFIG)
    two = start(CONFIG, "two", storage=one.storage)
    for number in range(5):
        status, made, _ = request(one, "POST", "/api/v3/checks/", json.dumps({"name": f"job {number}"}).encode())
        assert status == 201
        listed = request(two, "GET", "/api/v3/checks/")[1]["checks"]
        assert made["uuid"] in [each["uuid"] for each in listed]
        status, changed, _ = request(two, "POST", f"/api/v3/checks/{made['uuid']}", b'{"desc": "changed"}')
        assert (status, changed["desc"]) == (200, "changed")
        assert request(one, "GET", f"/api/v3/checks/{made['uuid']}")[1]["desc"] == "changed"
        assert request(two, "DELETE", f"/api/v3/checks/{made['uuid']}")[0] == 200
        assert request(one, "GET", f"/api/v3/checks/{made['uuid']}")[0] == 404


def test_of_many_that_ask_for_one_check_in_two_processes_one_makes_it(start: Starter) -> None:
    one = start(CONFIG)
    two = start(CONFIG, "two", storage=one.storage)
    body = json.dumps({"name": "the only one", "unique": ["name"], "timeout": 60}).encode()

    def ask(number: int) -> tuple[int, str]:
        status, check, _ = request((one, two)[number % 2], "POST", "/api/v3/checks/", body)
        return status, check["uuid"]

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(24)))
    assert sorted(status for status, _ in answers) == [200] * 23 + [201]
    assert len({uuid for _, uuid in answers}) == 1


def test_no_key_and_no_uuid_is_logged(start: Starter) -> None:
    service = start(CONFIG.replace("web:", "log: {level: debug}\nweb:"))
    _, made, _ = request(service, "POST", "/api/v3/checks/", json.dumps({"api_key": TOKEN, "name": "job"}).encode())
    for path in ("", "/pings/", "/pings/1/body", "/flips/", "/%22quoted%22"):
        request(service, "GET", f"/api/v3/checks/{made['uuid']}{path}") if path != "/flips/" else curl(
            f"{service.url}/api/v3/checks/{made['uuid']}{path}"
        )
    curl("-X", "PUT", f"{service.url}/api/v3/checks/{made['uuid']}", "-H", f"X-Api-Key: {TOKEN}")
    curl(f"{service.url}/api/v3/checks/{made['uuid']}/pause", "--data-binary", f'{{"api_key": "{TOKEN}", "x":')
    request(service, "GET", "/api/v3/checks/", X_Api_Key="SESAME-a-wrong-key")
    service.stop()
    log = service.output()
    assert "ready" in log
    for secret in (TOKEN, "SESAME-a-wrong-key", made["uuid"]):
        assert secret not in log
    assert eventually(lambda: "monitor added" in log)
