"""The secret of a Bearer header, which several dialects take."""

from exporter.ingest.dialect import Request

_BEARER = "bearer "


def bearer(request: Request) -> str | None:
    """None without such a header; not stripped of anything but the blanks around it."""
    authorization = request.header("Authorization")
    if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    return authorization[len(_BEARER) :].strip()
