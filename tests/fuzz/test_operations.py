"""Every operation of the OpenAPI document, with whatever its schemas allow and with what they do not, on the real app.

About 20 seconds; FUZZ_SECONDS=600 takes longer and finds more.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from exporter import __version__
from exporter.web.api.openapi import OPERATIONS, describe
from tests.live.conftest import SECRET, Service, monitors

pytestmark = [pytest.mark.live, pytest.mark.timeout(3600)]

TOKEN = "a-token-that-is-long-enough"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "20"))
COUNT = sum(len(methods) for methods in OPERATIONS.values())
EXAMPLES = max(10, SECONDS * 45 // COUNT)
"""For each operation: about forty-five requests are made and checked in a second."""
CONFIG = f"web: {{auth: {{token: {TOKEN}}}}}\n{monitors('job', 'other')}"

schema = schemathesis.openapi.from_dict(describe(__version__))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("fuzz"), CONFIG).ready()
    for tag in ("job", "other"):
        assert service.ping(tag).status == 200
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
    beyond = [positive_data_acceptance] if case.operation.body else []
    if any(not value and value != 0 for value in (case.query or {}).values()):
        beyond.append(negative_data_rejection)  # `?limit=` is as if it were left out
    headers = {"Authorization": f"Bearer {TOKEN}"}
    case.call_and_validate(base_url=service.url, headers=headers, timeout=10, excluded_checks=beyond)


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
