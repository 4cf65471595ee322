"""Every query and every variable of the dashboards, asked of VictoriaMetrics."""

from collections.abc import Iterator

import pytest

from tests.live.test_dashboards import *  # noqa: F403
from tests.live.test_dashboards import scraped
from tests.newest.victoria import Victoria

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victoria]:
    yield from scraped(tmp_path_factory, Victoria)  # type: ignore[misc]
