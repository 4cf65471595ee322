"""The error responses of the API."""

from pydantic import Field

from exporter.resources.model import ResponseModel


class ProblemAnswer(ResponseModel):
    path: str = Field(description="Path of the invalid value, such as `down_after` or `labels.team`.")
    message: str


class ErrorAnswer(ResponseModel):
    """An error response."""

    error: str = Field(description="One sentence.")
    problems: list[ProblemAnswer] = Field(default=[], description="Every problem of the request body.")
