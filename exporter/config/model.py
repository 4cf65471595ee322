"""Base of every section of the configuration: strict, with messages that never quote their input."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

MAX_LABELS = 32


class Model(BaseModel):
    """Unknown keys are errors; no message quotes its input."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)
    # Validators are built when they are first used: the service itself, at rest, uses none.


def details(error: ValidationError) -> list[Any]:
    """Returns each problem of `error` without its input."""
    return list(error.errors(include_url=False, include_input=False, include_context=False))


def message_of(detail: Mapping[str, Any]) -> str:
    """Returns the message of a problem, in plain English where pydantic's is technical."""
    match detail["type"]:
        case "missing":
            return "is missing"
        case "string_type":
            return "must be a string: put it in quotes"
        case "string_unicode":
            return "must be valid Unicode: it contains an unpaired surrogate"
        case "too_long":
            limit = re.search(r"at most ([0-9]+)", detail["msg"])
            return f"has more than {limit[1] if limit is not None else MAX_LABELS} entries"
        case "string_too_short":
            return "is empty"  # every minimum length is 1
        case "int_type":
            return "must be a whole number"
        case "bool_type":
            return "must be true or false"
        case "dict_type" | "model_type":
            return "must contain settings as `key: value`"
        case "list_type":
            return "must be a list"
        case "extra_forbidden":
            return "is not a setting"
    text: str = detail["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def path_of(detail: Mapping[str, Any]) -> str:
    return ".".join(map(str, detail["loc"])) or "monitor"
