"""Types of settings that several notifiers share."""

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr

from exporter.config.fields import SecretText, Url
from exporter.core.errors import InvalidValue


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _lines(value: object) -> object:
    """What a `…_file` twin holds: one a line, with comments."""
    if not isinstance(value, str):
        return value
    lines = (line.strip() for line in value.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _certificates(file: str) -> str:
    """Read once now, so that a wrong one is found when the configuration is."""
    if "\0" in file or not Path(file).is_file():
        raise InvalidValue("is not a file")
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        raise InvalidValue("contains no certificate in PEM format") from None
    except OSError:
        raise InvalidValue("cannot be read") from None
    return file


def _something(items: list[object]) -> list[object]:
    if not items:
        raise InvalidValue("needs at least one")
    return items


CaFile = Annotated[StrictStr, AfterValidator(_certificates)]
"""A file of certificates to trust instead of the system's."""
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Urls = Annotated[list[Url], BeforeValidator(_one_or_more), AfterValidator(_something)]
SecretLines = Annotated[list[SecretText], BeforeValidator(_lines), AfterValidator(_something)]
"""Several secrets; in a `…_file` each has a line of its own."""
