"""The JSON Schema of the file, for editors."""

from typing import Any

from exporter.config.load import ALIASES, FILES
from exporter.config.models import ConfigFile

_MINUTES = {"type": ["integer", "string"], "pattern": r"^\d+$"}
_VARIABLE = r"\$\{"
_SECTIONS = {
    (): None,
    ("storage",): "StorageSection",
    ("web", "auth"): "AuthSection",
    ("self_heartbeat",): "SelfHeartbeatSection",
}


def json_schema() -> dict[str, Any]:
    """Draft 2020-12, with the `_file` twins and Kener's names, which are resolved before the models see the file."""
    schema = ConfigFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Heartbeat Exporter configuration"
    for path, names in FILES.items():
        section = _SECTIONS[path]
        properties = (schema if section is None else schema["$defs"][section])["properties"]
        for name in names:
            properties[f"{name}_file"] = _file(name)
    monitor = schema["$defs"]["MonitorEntry"]
    monitor["required"] = ["tag"]
    monitor["properties"]["secret_file"] = _file("secret")
    for alias, name in ALIASES.items():
        kind = _MINUTES if alias.endswith("Minutes") else {"type": "string"}
        monitor["properties"][alias] = {**kind, "description": f"Kener's name of {name}."}
    monitor["anyOf"] = [{"required": [name]} for name in ("secret", "secret_file", "secretString")]
    _allow_variables(schema)
    return schema


def _allow_variables(schema: Any) -> None:
    """A text with `${NAME}` in it says nothing yet of what it will be."""
    if isinstance(schema, list):
        for one in schema:
            _allow_variables(one)
    if not isinstance(schema, dict):
        return
    for one in schema.values():
        _allow_variables(one)
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = f"{schema['pattern']}|{_VARIABLE}"
    elif isinstance(schema.get("enum"), list):
        schema["anyOf"] = [{"enum": schema.pop("enum")}, {"pattern": _VARIABLE}]


def _file(name: str) -> dict[str, str]:
    return {"type": "string", "description": f"File that holds {name}; relative to the configuration file."}
