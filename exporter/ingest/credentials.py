"""Who a heartbeat is for, and whether its sender knows the secret."""

from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.secret import DIGEST_BYTES, digest, same_digest
from exporter.core.telemetry import RejectReason
from exporter.ingest.refusals import looks_like_tag

_NOBODY = bytes(DIGEST_BYTES)


class Authenticator:
    """An unknown tag costs the same digest and the same comparison as a wrong secret."""

    def __init__(self, fleet: Fleet, key: bytes) -> None:
        self._fleet = fleet
        self._key = key

    def check(self, tag: str, secret: str) -> FleetMonitor | RejectReason:
        """The monitor, or what was wrong."""
        watched = self._fleet.get(tag)
        given = digest(secret, self._key)
        if same_digest(given, watched.digest if watched is not None else _NOBODY) and watched is not None:
            return watched
        return RejectReason.UNKNOWN_TAG if watched is None else RejectReason.WRONG_SECRET

    def shown_tag(self, tag: str, secret: str) -> str:
        """`tag` as it may be shown to people; empty when it could be a secret: the client swapped the two, or sent a
        single text.
        """
        if self._fleet.get(tag) is not None:
            return tag
        in_its_place = bool(secret) and self._fleet.get(secret) is None
        return tag if in_its_place and looks_like_tag(tag) else ""
