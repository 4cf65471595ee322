"""Mustache, as Kener's templates use it, written as Jinja."""

import re

from exporter.core.errors import InvalidValue

_TAG = re.compile(r"\{\{\{\s*(?P<raw>\w+)\s*\}\}\}|\{\{\s*(?P<sign>[#^/&!>=]?)\s*(?P<name>[^{}]*?)\s*\}\}")
_NAME = re.compile(r"\w+")


def jinja_of(text: str) -> str:
    """Raises InvalidValue for what has no counterpart: partials, other delimiters, sections that do not fit."""
    open_: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        sign, name = match["sign"], match["raw"] or match["name"]
        if sign == "!":
            return ""
        if (sign in (">", "=") and sign) or not _NAME.fullmatch(name):
            raise InvalidValue(f"{match[0][:60]!r} has no counterpart")
        if sign == "#" or sign == "^":
            open_.append(name)
            return f"{{% if {'not ' if sign == '^' else ''}{name} %}}"
        if sign == "/":
            if not open_ or open_.pop() != name:
                raise InvalidValue(f"{match[0]!r} ends no section")
            return "{% endif %}"
        return f"{{{{ {name} }}}}"

    if "{%" in text or "{#" in text.replace("{{#", ""):
        raise InvalidValue("it holds {% or {#, which Jinja would read")
    result = _TAG.sub(replaced, text)
    if open_:
        raise InvalidValue(f"the section {open_[-1]!r} has no end")
    return result
