"""Pydantic models of `maintenances`."""

from typing import Annotated, Any, Self

from pydantic import Field, StrictStr, ValidationError, model_validator

from exporter.config.alert_models import Globs, Name
from exporter.config.fields import Line, PositiveDuration
from exporter.config.model import Model, details, message_of
from exporter.core.alerts.alert_rule import Selector
from exporter.core.calendar.recurrence import check_rule
from exporter.core.calendar.schedule import check_timezone
from exporter.core.durations import format_duration
from exporter.core.errors import InvalidValue
from exporter.core.maintenance import MAX_RECURRING, Window
from exporter.presentation.moments import parse_local


class MaintenanceEntry(Model):
    """A maintenance window, once or recurring."""

    name: Name = Field(description="Name of the window on pages and on the command line.")
    monitors: Globs = Field(default_factory=list, description="Globs of tags. Default: all monitors.")
    groups: Globs = Field(default_factory=list, description="Globs of groups. Default: all groups.")
    labels: dict[str, Line] = Field(
        default_factory=dict, description="Globs of label values by label key; all must match."
    )
    timezone: StrictStr = Field("UTC", description="IANA name of the timezone of starts_at, ends_at and rrule.")
    starts_at: StrictStr = Field(description='Start of the first occurrence, such as "2026-12-06 02:00".')
    ends_at: StrictStr | None = Field(None, description="End of the first occurrence.")
    duration: PositiveDuration | None = Field(None, description="Duration of the window, instead of ends_at.")
    rrule: StrictStr | None = Field(
        None,
        description="Recurrence rule (RFC 5545), such as FREQ=WEEKLY;BYDAY=SU. Default: the window does not recur.",
    )
    description: Annotated[StrictStr, Field(max_length=2000)] = Field("", description="Reason, shown with the window.")

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        self.window()
        return self

    def window(self) -> Window:
        """Converts the entry to the core's window. Raises InvalidValue."""
        check_timezone(self.timezone)
        start = parse_local(self.starts_at, self.timezone)
        if (self.ends_at is None) == (self.duration is None):
            raise InvalidValue("give either ends_at or duration")
        duration = self.duration or parse_local(self.ends_at or "", self.timezone) - start
        if duration <= 0:
            raise InvalidValue("ends_at must come after starts_at")
        if self.rrule is not None:
            if duration > MAX_RECURRING:
                raise InvalidValue(f"a recurring window may last {format_duration(MAX_RECURRING)} at most")
            check_rule(self.rrule, start, self.timezone)
        return Window(
            name=self.name,
            selector=Selector(
                tags=tuple(self.monitors), groups=tuple(self.groups), labels=tuple(sorted(self.labels.items()))
            ),
            starts_at=start,
            duration=duration,
            rule=self.rrule,
            timezone=self.timezone,
            description=self.description,
        )

    @classmethod
    def read(cls, values: dict[str, Any]) -> Window:
        """Reads a window from the options of a command. Raises InvalidValue, which names the problem."""
        try:
            return cls.model_validate(values).window()
        except ValidationError as error:
            detail = details(error)[0]
            where = ".".join(map(str, detail["loc"]))
            raise InvalidValue(f"{where}: {message_of(detail)}" if where else message_of(detail)) from None
