"""Every operation of the OpenAPI document, with whatever its schemas allow and with what they do not, on the real app.

About 20 seconds; FUZZ_SECONDS=600 takes longer and finds more.
"""

import json
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from exporter import __version__
from exporter.web.api.openapi import describe, operations
from tests.live.conftest import SECRET, Service, curl, eventually, monitors
from tests.support.ports import free_port

pytestmark = [pytest.mark.live, pytest.mark.timeout(3600)]

TOKEN = "a-token-that-is-long-enough"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "20"))
COUNT = sum(len(methods) for methods in operations().values())
EXAMPLES = max(10, SECONDS * 45 // COUNT)
"""For each operation: about forty-five requests are made and checked in a second."""
FAILING = [f"failing-{number}" for number in range(8)]
"""Each has an incident; one that is resolved is soon open again at another monitor."""
MADE = [f"made-{number}" for number in range(8)]
"""Were added through the API, so they can be removed."""
CONFIG = f"""
web: {{auth: {{token: {TOKEN}}}}}
notifiers: [{{name: ops, type: webhook, url: "http://127.0.0.1:{free_port()}/"}}]
alerts: [{{name: down, notify: [ops], create_incident: true}}]
maintenances: [{{name: nights, monitors: ["*"], starts_at: "2030-01-01 00:00", duration: 1h, rrule: FREQ=DAILY}}]
{monitors("job", "other", *FAILING)}"""
KNOWN: dict[str, list[Any]] = {
    "tag": ["job", "other", *MADE, *FAILING],
    "id": list(range(1, len(FAILING) + 1)),
}
"""Parameters of paths that lead to something; generated ones hardly ever do."""
answers: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
"""The status codes that each operation has answered with."""

schema = schemathesis.openapi.from_dict(describe(__version__))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("fuzz"), CONFIG).ready()
    for tag in ("job", "other"):
        assert service.ping(tag).status == 200
    for tag in FAILING:
        assert service.ping(tag, "/fail").status == 200
    arguments = ("-H", f"Authorization: Bearer {TOKEN}", "-H", "Content-Type: application/json")
    for tag in MADE:
        made = curl(*arguments, "-d", json.dumps({"tag": tag}), f"{service.url}/api/v1/monitors")
        assert made.status == 201
    incidents = f"{service.url}/api/v1/incidents?limit=100"
    eventually(lambda: len(json.loads(curl(*arguments, incidents).body)["incidents"]) == len(FAILING))
    yield service
    service.kill()


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=SECONDS <= 20,
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_is_as_it_is_described(case: Any, service: Service) -> None:
    """No 5xx, no answer that is not described, none that does not fit its schema, none that takes what is not allowed.

    What reads is answered whenever its schema allows the question. A body may be refused all the same: no schema says
    that a cron expression fires some day, or that a timezone exists.
    """
    lead_somewhere(case)
    beyond = [positive_data_acceptance] if case.operation.body else []
    if any(not value and value != 0 for value in (case.query or {}).values()):
        beyond.append(negative_data_rejection)  # `?limit=` is as if it were left out
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = case.call_and_validate(base_url=service.url, headers=headers, timeout=10, excluded_checks=beyond)
    answers[case.operation.path, case.operation.method.lower()].add(answer.status_code)


def lead_somewhere(case: Any) -> None:
    """Half of all cases, decided by what they are, so that one that fails can be made smaller."""
    drawn = zlib.crc32(repr(case.path_parameters).encode())
    for name in case.path_parameters or {}:
        if drawn % 2 and name in KNOWN and not case.meta.is_negative_at(ParameterLocation.PATH):
            case.path_parameters[name] = KNOWN[name][drawn // 2 % len(KNOWN[name])]


def test_every_operation_was_reached() -> None:
    """Each that ran has done what it is for at least once, and not only refused."""
    missed = {
        (path, method): codes
        for (path, method), codes in answers.items()
        if operations()[path][method].status not in codes
    }
    assert not missed


def test_the_service_has_survived(service: Service) -> None:
    assert service.ping("job", secret=SECRET).status == 200
    assert "Traceback" not in service.output()
    assert SECRET not in service.output()
    assert TOKEN not in service.output()


def test_a_reading_operation_takes_no_body() -> None:
    """A slip in a list of positions once gave one a body."""
    for path, methods in describe(__version__)["paths"].items():
        for method, operation in methods.items():
            if method in ("get", "delete"):
                assert "requestBody" not in operation, (method, path)
