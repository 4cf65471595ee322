"""vmagent scrapes, and victoria-metrics answers for every family and for the queries of the documents."""

from collections.abc import Iterator

import pytest

from tests.live.conftest import Service, eventually
from tests.live.test_prometheus import (
    Prometheus,
    service,
    test_every_family_has_an_answer,
    test_every_status_is_told,
    test_the_queries_of_the_documents_are_understood,
    test_values_are_right,
)
from tests.newest.victoria import Victoria

__all__ = [
    "service",
    "test_every_family_has_an_answer",
    "test_every_status_is_told",
    "test_the_queries_of_the_documents_are_understood",
    "test_values_are_right",
]
pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    victoria = Victoria(tmp_path_factory.mktemp("victoria"), service.url.removeprefix("http://"))
    eventually(lambda: victoria.values("up{job='heartbeat'}", "job") == {"heartbeat": 1.0}, 30)
    eventually(
        lambda: victoria.values("heartbeat_status{status='DOWN'} == 1").keys() == {"failed", "missed", "overrun"}
    )
    yield victoria
    victoria.stop()
