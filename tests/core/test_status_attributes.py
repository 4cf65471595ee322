"""The table of statuses: complete, and what the rules of uptime and alerts say."""

import re

from exporter.core.alerts.alert_rule import FROZEN, WATCHABLE
from exporter.core.status import Status
from exporter.core.status_attributes import STATUS_ATTRIBUTES, statuses_where


def test_every_status_has_its_attributes() -> None:
    assert set(STATUS_ATTRIBUTES) == set(Status)
    assert len({attributes.label for attributes in STATUS_ATTRIBUTES.values()}) == len(Status)
    for attributes in STATUS_ATTRIBUTES.values():
        assert re.fullmatch("#[0-9a-f]{6}", attributes.color)
        assert re.fullmatch("#[0-9a-f]{6}", attributes.chart_color)
        assert attributes.counts or not attributes.is_up


def test_what_each_status_means() -> None:
    assert statuses_where(lambda attributes: attributes.is_up) == (Status.DEGRADED, Status.UP)
    assert statuses_where(lambda attributes: attributes.counts) == (Status.DOWN, Status.DEGRADED, Status.UP)
    assert statuses_where(lambda attributes: attributes.is_trouble) == (Status.DOWN, Status.DEGRADED)
    assert WATCHABLE == (Status.DOWN, Status.DEGRADED, Status.NO_DATA)
    assert {Status.PAUSED, Status.MAINTENANCE} == FROZEN
    assert list(STATUS_ATTRIBUTES)[:3] == [Status.DOWN, Status.DEGRADED, Status.NO_DATA]
