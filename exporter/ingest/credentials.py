"""Who a heartbeat is for, and whether its sender may send it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from exporter.core.credentials import BuiltInTokens, PingKey, comparable
from exporter.core.fleet import Fleet, FleetMonitor
from exporter.core.secret import DIGEST_BYTES, digest, same_digest
from exporter.core.telemetry import RejectReason
from exporter.ingest.refusals import looks_like_tag

_NO_MONITOR = bytes(DIGEST_BYTES)
_new = tuple.__new__
"""Makes a named tuple in less time than its own constructor takes; thousands are made a second."""


class Grant(NamedTuple):
    """What a secret, a token or a ping key opens."""

    tag: str
    watched: FleetMonitor | None
    """None: there is no such monitor yet, and the ping key may create it."""
    key: PingKey | None = None
    """The ping key that was shown; None with a secret or a token of the monitor's own."""

    @property
    def monitor(self) -> FleetMonitor:
        """The monitor. A grant for creation has one only after `Ingest.ensure`; before it raises LookupError."""
        if self.watched is None:
            raise LookupError("there is no monitor yet: await ingest.ensure(grant) first")
        return self.watched


class Credentials:
    """Looks credentials up by keyed digests. An unknown tag costs the same digest and comparison as a wrong secret."""

    def __init__(self, fleet: Fleet, key: bytes) -> None:
        self._fleet = fleet
        self._key = key
        self._built_in = BuiltInTokens(key)
        self._keys: Mapping[bytes, PingKey] = {}
        self.built_in_tokens = True
        """Whether monitors can be named by their built-in tokens."""

    def use(self, keys: Iterable[PingKey]) -> None:
        """These ping keys are in force from now on; any thread may call it."""
        self._keys = {key.digest: key for key in keys}

    def check(self, secret: str, tag: str | None = None, create: bool = False) -> Grant | RejectReason:
        """What it opens, or what was wrong; see `Ingest.authenticate`."""
        if tag is None:
            return self._check_token(secret)
        watched = self._fleet.get(tag)
        given = digest(secret, self._key)
        if same_digest(given, watched.digest if watched is not None else _NO_MONITOR) and watched is not None:
            return _new(Grant, (tag, watched, None))
        if watched is not None and any(same_digest(given, other) for other in watched.secrets):
            return Grant(tag, watched)
        key = self._keys.get(given)
        if key is not None:
            if watched is not None and key.selector.matches(watched.monitor):
                return Grant(tag, watched, key)
            if watched is None and create and key.defaults is not None:
                return Grant(tag, None, key)
        return RejectReason.UNKNOWN_TAG if watched is None else RejectReason.WRONG_SECRET

    def shown_tag(self, tag: str, secret: str) -> str:
        """`tag` as it may be shown to people; empty when it could be a secret, a token or a ping key: the sender
        swapped the two, or sent a single text.
        """
        if self._fleet.get(tag) is not None:
            return tag
        in_its_place = bool(secret) and self._fleet.get(secret) is None
        return tag if in_its_place and looks_like_tag(tag) and not self.is_known(tag) else ""

    def is_known(self, text: str) -> bool:
        """Whether it is a ping key or a token, whatever it opens. A monitor's secret is not known without its tag."""
        return digest(text, self._key) in self._keys or isinstance(self._check_token(text), Grant)

    def _check_token(self, secret: str) -> Grant | RejectReason:
        token = comparable(secret)
        watched = self._fleet.with_token(digest(token, self._key))
        if watched is None and self.built_in_tokens:
            number = self._built_in.claimed(token)
            claimed = self._fleet.with_id(number) if number is not None else None
            if claimed is not None and self._built_in.is_of(token, claimed.id, claimed.generation):
                watched = claimed
        return Grant(watched.monitor.tag, watched) if watched is not None else RejectReason.UNKNOWN_TOKEN
