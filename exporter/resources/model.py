"""The base of the models, and how they write moments, durations and texts.

Moments are RFC 3339 in UTC, durations are seconds, and `null` means that there is none.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from exporter.core.clock import SECOND
from exporter.presentation.moments import rfc3339


class ResponseModel(BaseModel):
    """Base of all models."""

    # Pydantic builds the serializer of a model when it is first used, so that an unused API costs no memory.
    model_config = ConfigDict(frozen=True, use_enum_values=True, defer_build=True)


NextCursor = Annotated[str | None, Field(description="Value of `cursor` for the next page; null on the last page.")]


def when(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / SECOND


def clean(text: str) -> str:
    """Replaces unpaired surrogates, which JSON cannot contain."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def to_python(model: ResponseModel) -> dict[str, object]:
    """The members of the JSON object, for `json.dumps`."""
    return model.model_dump(mode="json")
