"""A takeover as text: the YAML of a configuration file."""

from typing import Any

import yaml

from exporter.importing.takeover import FromEnvironment, Takeover

_WIDTH = 120


def document_of(takeover: Takeover, product: str) -> str:
    """A file that `include` can name. It holds secrets."""
    parts = {
        "monitors": takeover.monitors,
        "ping_keys": takeover.ping_keys,
        "alerts": takeover.alerts,
        "notifiers": takeover.notifiers,
        "maintenances": takeover.maintenances,
    }
    values = {name: _written(entries) for name, entries in parts.items() if entries}
    head = f"# Taken over from {product}. This file holds secrets: let only the exporter read it.\n"
    if not values:
        return f"{head}monitors: []\n"
    return head + str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH))


def _written(value: Any) -> Any:
    """`$` starts a variable in the file."""
    if isinstance(value, dict):
        return {key: _written(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(_written, value))
    if isinstance(value, FromEnvironment):
        return str(value)
    return value.replace("$", "$$") if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes lists under their key as the documentation does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
