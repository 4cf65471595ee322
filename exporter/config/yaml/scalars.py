"""What a YAML 1.2 scalar stands for: the rules of the core schema, and texts for what no setting takes."""

import re
from typing import Any

MAX_NUMBER = 30
_PREFIX = "tag:yaml.org,2002:"
_SPECIAL = frozenset("-+0123456789.tTfFnN~")
"""First characters of whatever is not a text."""
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
)
_INTEGER = re.compile(r"[-+]?(?:0o?[0-7_]+|[0-9_]+|0x[0-9a-fA-F_]+)")


class UnknownTag(Exception):
    """The scalar has a tag (`!name`) that no setting uses."""


def plain(text: str) -> Any:
    """The value of an unquoted scalar. YAML 1.1's `yes`, moments, and very long numbers are texts."""
    if text and text[0] not in _SPECIAL:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    return _float(text) if _FLOAT.fullmatch(text) else text


def tagged(text: str, tag: str) -> Any:
    """The value of a scalar with a tag that is written out, such as `!!str`. Raises UnknownTag."""
    match tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else "":
        case "null":
            return None if text in _NULLS else text
        case "bool":
            return {"true": True, "false": False}.get(text.lower(), text)
        case "int":
            return _integer(text)
        case "float":
            return _float(text)
        case "str" | "timestamp" | "merge" | "value":
            return text
    raise UnknownTag


def is_kind(tag: str | None, kind: str) -> bool:
    """Whether a mapping (`map`) or a sequence (`seq`) has no tag, or the one that it would have anyway."""
    return tag is None or tag in ("!", _PREFIX + kind)


def _integer(text: str) -> Any:
    if len(text) > MAX_NUMBER:
        return text
    try:
        return int(text.replace("_", ""), 0) if text.lstrip("+-")[:2] in ("0x", "0o") else int(text)
    except ValueError:
        return text


def _float(text: str) -> Any:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return text
