"""What the API takes: bodies, bounded and checked, with every problem named at once."""

from typing import Annotated, Any, TypeVar

import falcon
from pydantic import AfterValidator, Field, SecretStr, StrictBool, StrictStr, ValidationError

from exporter.config.model import Model, details, message_of
from exporter.config.models import MonitorOptions
from exporter.core.alerts.incident import MAX_AUTHOR, MAX_TEXT, IncidentState, clean_author, clean_text
from exporter.core.secret import MAX_LENGTH as MAX_SECRET
from exporter.core.secret import check_secret
from exporter.web.errors import JSON, Refused
from exporter.web.requests import WebRequest

MAX_BODY = 64 * 1024


def _secret(secret: SecretStr) -> SecretStr:
    check_secret(secret.get_secret_value())
    return secret


class NewMonitor(MonitorOptions):
    """A monitor to create. Durations are written as `90s`, `5m`, `1h30m`, `2d`."""

    secret: (
        Annotated[
            SecretStr,
            AfterValidator(_secret),
            Field(json_schema_extra={"minLength": 1, "maxLength": MAX_SECRET, "pattern": "^[!-.0-~]+$"}),
        ]
        | None
    ) = Field(None, description="Generated if omitted, which is safer.")


class MonitorChange(Model):
    """A change to a monitor."""

    paused: StrictBool


Prose = Annotated[
    StrictStr, AfterValidator(clean_text), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_TEXT})
]
Author = Annotated[
    StrictStr, AfterValidator(clean_author), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_AUTHOR})
]


class NewUpdate(Model):
    """An entry of an incident's timeline."""

    text: Prose = Field(description="Text of the entry; up to 2000 characters.")
    state: IncidentState | None = Field(
        None, description="New state; RESOLVED resolves the incident. Unchanged if omitted."
    )
    author: Author = Field("API", description="Author of the entry.")


class Acknowledgement(Model):
    """An acknowledgement of an incident."""

    author: Author = Field("API", description="Person or program that acknowledges the incident.")


_B = TypeVar("_B", bound=Model)


async def read_body(req: WebRequest, model: type[_B]) -> _B:
    """The body as a `model`; raises 415, 413, or 422 with all problems, none of which quotes a secret."""
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind != JSON:
        # A form on another site's page can send any body, but not as JSON.
        raise falcon.HTTPUnsupportedMediaType(description="Send JSON, with Content-Type: application/json.")
    raw = await _bounded(req)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise Refused(falcon.HTTP_422, "The request body is invalid.", problems_of(error)) from None


def problems_of(error: ValidationError) -> list[dict[str, Any]]:
    """As in the configuration file: path and message, and no input."""
    return [
        {"path": ".".join(str(part) for part in detail["loc"]), "message": message_of(detail)}
        for detail in details(error)
    ]


async def _bounded(req: WebRequest) -> bytes:
    """Never more than MAX_BODY in memory, whatever Content-Length says or leaves out."""
    length = req.content_length
    if length is not None and length > MAX_BODY:
        raise falcon.HTTPContentTooLarge
    body = bytearray()
    try:
        async for chunk in req.stream:
            body += chunk
            if len(body) > MAX_BODY:
                raise falcon.HTTPContentTooLarge
    except OSError:
        raise falcon.HTTPBadRequest(description="The request body arrived incomplete.") from None
    return bytes(body)
