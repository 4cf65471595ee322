"""Maintenance windows in JSON."""

from pydantic import Field

from exporter.core.clock import SECOND
from exporter.core.maintenance import Window
from exporter.presentation.moments import rfc3339
from exporter.resources.model import ResponseModel, clean, when


class MaintenanceAnswer(ResponseModel):
    """A window in which its monitors neither alert nor count towards uptime."""

    name: str
    description: str
    monitors: list[str] = Field(description="Globs of tags, one of which must match; empty matches every tag.")
    groups: list[str] = Field(description="Globs of groups, one of which must match; empty matches every group.")
    labels: dict[str, str] = Field(description="Globs of label values by key, all of which must match.")
    starts_at: str = Field(description="Start of the first occurrence.")
    duration_seconds: float
    rrule: str | None = Field(description="RFC 5545 recurrence rule; null if the window occurs once.")
    timezone: str
    running_until: str | None = Field(description="End of the current occurrence; null if there is none.")
    next_start_at: str | None
    ended_at: str | None = Field(description="Time at which an operator ended the window permanently.")

    @classmethod
    def of(cls, window: Window, now: int) -> "MaintenanceAnswer":
        running, selector = window.running(now), window.selector
        return cls(
            name=clean(window.name),
            description=clean(window.description),
            monitors=[clean(glob) for glob in selector.tags],
            groups=[clean(glob) for glob in selector.groups],
            labels={clean(key): clean(glob) for key, glob in selector.labels},
            starts_at=rfc3339(window.starts_at),
            duration_seconds=window.duration / SECOND,
            rrule=window.rule,
            timezone=window.timezone,
            running_until=None if running is None else rfc3339(running.end),
            next_start_at=when(window.next_start(now)),
            ended_at=when(window.ended_at),
        )


class MaintenancesAnswer(ResponseModel):
    maintenances: list[MaintenanceAnswer]
