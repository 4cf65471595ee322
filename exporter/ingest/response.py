"""What a dialect answers with."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""On every answer that does not say otherwise."""

Message = dict[str, Any]


class Response:
    """Status, body, content type and more header fields. One that is always the same may be made once and shared."""

    __slots__ = ("_messages", "body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        content_type: str | None = JSON,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """The length of the body, `X-Content-Type-Options` and `Cache-Control: no-store` are added; `headers` may
        replace the latter two.
        """
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self._messages: tuple[Message, Message] | None = None

    @classmethod
    def json(cls, content: Mapping[str, Any], status: int = 200) -> "Response":
        return cls(status, json.dumps(content).encode())

    def messages(self) -> tuple[Message, Message]:
        """As ASGI sends them; made at the first call, since the most frequent answer is always the same."""
        made = self._messages
        if made is None:
            headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
            given = {name for name, _ in headers}
            if self.content_type is not None:
                headers.insert(0, (b"content-type", self.content_type.encode("latin-1")))
            headers += [pair for pair in _ALWAYS if pair[0] not in given]
            if self.status != 204:
                headers.append((b"content-length", b"%d" % len(self.body)))
            made = self._messages = (
                {"type": "http.response.start", "status": self.status, "headers": headers},
                {"type": "http.response.body", "body": self.body},
            )
        return made

    def with_body(self, body: bytes) -> "Response":
        """A copy with a body of the same length, which shares the header fields: they are made only once."""
        made = Response(self.status, body, self.content_type, self.headers)
        made._messages = (self.messages()[0], {"type": "http.response.body", "body": body})
        return made

    def with_headers(self, *headers: tuple[str, str]) -> "Response":
        """A copy with these header fields, in place of its own of the same names."""
        names = {name.lower() for name, _ in headers}
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        return Response(self.status, self.body, self.content_type, (*kept, *headers))
