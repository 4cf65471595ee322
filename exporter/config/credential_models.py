"""Ping keys, tokens and switches of dialects as pydantic sees them."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr

from exporter.config.alert_models import Globs, Name
from exporter.config.fields import Line
from exporter.config.model import Model
from exporter.config.monitor_models import MonitorDefaults
from exporter.config.settings import ProvisionedKey, Secret
from exporter.core.alerts.alert_rule import Selector
from exporter.core.credentials import MAX_MONITORS, check_key
from exporter.core.errors import InvalidValue

_SWITCHES = {"on": True, "off": False}


def _switch(value: object) -> object:
    """`on` and `off` are texts in YAML 1.2."""
    switch = _SWITCHES.get(value, value) if isinstance(value, str) else value
    if not isinstance(switch, bool):
        raise InvalidValue("must be on or off")
    return switch


def _selection(value: object) -> object:
    return {"monitors": value} if isinstance(value, str | list) else value


Switch = Annotated[
    bool,
    BeforeValidator(_switch),
    Field(json_schema_extra={"type": ["boolean", "string"], "enum": [True, False, "on", "off"]}),
]


class Selection(Model):
    """A selection of monitors; every given condition must match."""

    monitors: Globs = Field(default_factory=list, description="Globs of tags. Default: all.")
    groups: Globs = Field(default_factory=list, description="Globs of groups. Default: all.")
    labels: dict[str, Line] = Field(default_factory=dict, description="Globs of label values; all of them must match.")

    def selector(self) -> Selector:
        return Selector(tags=tuple(self.monitors), groups=tuple(self.groups), labels=tuple(sorted(self.labels.items())))


class PingKeyEntry(Model):
    """One key for many monitors."""

    name: Name = Field(description="Name of the key on the command line and in the log.")
    key: Annotated[StrictStr, AfterValidator(check_key)] = Field(repr=False, description="The key.")
    monitors: Annotated[Selection, BeforeValidator(_selection)] = Field(
        default_factory=Selection,
        description="Monitors that the key is valid for: globs of tags, or a selection. Default: all.",
    )
    create: MonitorDefaults | None = Field(
        None,
        description="Allows senders to create monitors with their first heartbeat; default settings of those monitors.",
    )
    max_monitors: Annotated[StrictInt, Field(ge=1, le=100_000)] = Field(
        MAX_MONITORS, description="Maximum number of monitors created with this key."
    )

    def settings(self) -> ProvisionedKey:
        defaults: dict[str, Any] | None = self.create.written() if self.create is not None else None
        return ProvisionedKey(self.name, Secret(self.key), self.monitors.selector(), defaults, self.max_monitors)
