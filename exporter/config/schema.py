"""The JSON Schema of configuration files, for editors."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from exporter.config.fields import secret_fields
from exporter.config.load import (
    ALERT_ALIASES,
    ALIASES,
    FILES,
    MONITOR_FILES,
    NO_NOTIFIERS,
    STORAGE_ALIASES,
    NotifierModels,
)
from exporter.config.models import ConfigFile

_REF = "#/$defs/{model}"

_MINUTES = {"type": ["integer", "string"], "pattern": r"^\d+$"}
_VARIABLE = r"\$\{"
_SECTIONS = {
    (): None,
    ("storage",): "StorageSection",
    ("web", "auth"): "AuthSection",
    ("self_heartbeat",): "SelfHeartbeatSection",
}


def json_schema(notifiers: NotifierModels = NO_NOTIFIERS) -> dict[str, Any]:
    """Returns a schema of draft 2020-12, with the `_file` twins and Kener's names, which the loader resolves.

    The models never see those.
    """
    # All models in one call, so that two models of the same name stay apart.
    models: list[type[BaseModel]] = [ConfigFile, *dict.fromkeys(notifiers.values())]
    references, document = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    definitions = document["$defs"]
    called = {model: references[model, "validation"]["$ref"].rpartition("/")[2] for model in models}
    schema: dict[str, Any] = definitions.pop(called[ConfigFile])
    schema["$defs"] = definitions
    if notifiers:
        _describe_notifiers(schema, notifiers, called)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Heartbeat Exporter configuration"
    for path, names in FILES.items():
        section = _SECTIONS[path]
        properties = (schema if section is None else schema["$defs"][section])["properties"]
        for name in names:
            properties[f"{name}_file"] = _file(name)
    monitor = schema["$defs"]["MonitorEntry"]
    monitor["required"] = ["tag"]
    for name in MONITOR_FILES:
        monitor["properties"][f"{name}_file"] = _file(name)
    key = schema["$defs"]["PingKeyEntry"]
    key["required"] = ["name"]
    key["properties"]["key_file"] = _file("key")
    key["oneOf"] = [{"required": ["key"]}, {"required": ["key_file"]}]
    selection = key["properties"]["monitors"]
    globs = schema["$defs"]["Selection"]["properties"]["monitors"]["items"]
    reference = {"$ref": _REF.format(model="Selection")}
    for name in ("$ref", "allOf"):
        selection.pop(name, None)
    selection["anyOf"] = [reference, {"type": "array", "items": globs}, {"type": "string"}]
    for alias, name in ALIASES.items():
        kind = _MINUTES if alias.endswith("Minutes") else {"type": "string"}
        monitor["properties"][alias] = {**kind, "description": f"Kener's name for {name}."}
    monitor["anyOf"] = [{"required": [name]} for name in ("secret", "secret_file", "secretString")]
    rule = schema["$defs"]["AlertEntry"]["properties"]
    for alias, name in ALERT_ALIASES.items():
        rule[alias] = {**rule[name], "description": f"Kener's name for {name}."}
    storage = schema["$defs"]["StorageSection"]["properties"]
    for alias, name in STORAGE_ALIASES.items():
        storage[alias] = {**storage[name], "description": f"The earlier name of {name}."}
    storage = schema["$defs"]["StorageSection"]["properties"]
    for alias, name in STORAGE_ALIASES.items():
        storage[alias] = {**storage[name], "description": f"The earlier name of {name}."}
    rule["alert_for"] = {
        "const": "STATUS",
        "description": "Kener's setting; must be STATUS, because a heartbeat has no latency and no uptime.",
    }
    _allow_variables(schema)
    return schema


def _describe_notifiers(
    schema: dict[str, Any], notifiers: NotifierModels, names: Mapping[type[BaseModel], str]
) -> None:
    """Adds a schema for each type of notifier; an entry must match the one of its type."""
    definitions = schema["$defs"]
    choices = []
    for kind, model in notifiers.items():
        definition = deepcopy(definitions[names[model]])
        definition["title"] = f"Notifier of type {kind}"
        definition["properties"]["type"] = {"const": kind, "description": "Type of the notifier."}
        required = definition.get("required", [])
        for name in secret_fields(model):
            definition["properties"][f"{name}_file"] = _file(name)
            if name in required:
                required.remove(name)
                definition.setdefault("allOf", []).append(
                    {"oneOf": [{"required": [name]}, {"required": [f"{name}_file"]}]},
                )
        definitions[f"notifier.{kind}"] = definition
        choices.append({"$ref": _REF.format(model=f"notifier.{kind}")})
    for name in {names[model] for model in notifiers.values()}:
        del definitions[name]
    schema["properties"]["notifiers"]["items"] = {"type": "object", "required": ["name", "type"], "oneOf": choices}


def _allow_variables(schema: Any) -> None:
    """Allows a string with `${NAME}` wherever the schema has a pattern or an enumeration."""
    if isinstance(schema, list):
        for item in schema:
            _allow_variables(item)
    if not isinstance(schema, dict):
        return
    for value in schema.values():
        _allow_variables(value)
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = f"{schema['pattern']}|{_VARIABLE}"
    elif isinstance(schema.get("enum"), list):
        schema["anyOf"] = [{"enum": schema.pop("enum")}, {"pattern": _VARIABLE}]


def _file(name: str) -> dict[str, str]:
    return {
        "type": "string",
        "description": f"File that contains {name}; a relative path starts at the folder of the configuration file.",
    }
