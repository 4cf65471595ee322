"""Wrong credentials: slowed by client address, and summed up in the log.

Only answers that say no are slowed. What shows the right secret is answered at once, whatever else comes from its
address: behind one NAT there may be a hundred good jobs and a bad one.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, IPv6Network, ip_address

from exporter.core.clock import MINUTE, SECOND, Clock

log = logging.getLogger(__name__)

BURST = 10
"""Wrong answers that an address gets at once, after a time without any."""
INTERVAL = 200
"""Milliseconds between two more of them: five a second."""
MAX_DELAY = 5 * SECOND
"""How long one is held back at most: a client gives up after ten, and should see what is wrong."""
MAX_ADDRESSES = 4096
"""In the table; the one that was quiet for longest makes room."""
MAX_LINES = 30
"""Log lines a minute, for all addresses together."""
_PREFIX = 64
"""An IPv6 client has as many addresses as it likes, in one network of this size."""


class _Address:
    __slots__ = ("logged", "next_at", "unlogged")

    def __init__(self) -> None:
        self.next_at = 0
        """When its next answer goes out that is not within the burst, by the steady clock."""
        self.logged: int | None = None
        self.unlogged = 0


class Guesses:
    """Lives on the event loop."""

    def __init__(self, clock: Clock, delayed: Callable[[], None] = lambda: None) -> None:
        """`delayed` is called for each answer that is held back."""
        self._clock = clock
        self._delayed = delayed
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._lines = 0
        self._minute: int | None = None
        """When the minute began in which `_lines` were written."""
        self._others = 0
        """Refusals that no line reports, from addresses that made room or came when there were lines enough."""
        self._timer: asyncio.TimerHandle | None = None

    async def slow(self, client: str) -> None:
        """Returns when `client`, which showed wrong credentials, may have its answer."""
        milliseconds = self.delay(client)
        if milliseconds:
            self._delayed()
            await asyncio.sleep(milliseconds / SECOND)

    def delay(self, client: str) -> int:
        """Milliseconds, and counts one more wrong answer."""
        now = self._clock.monotonic()
        address = self._address(client)
        address.next_at = max(address.next_at, now - BURST * INTERVAL) + INTERVAL
        wait = min(max(0, address.next_at - now), MAX_DELAY)
        address.next_at = min(address.next_at, now + MAX_DELAY)
        return wait

    def tell(
        self, message: str, client: str, level: int = logging.INFO, fields: Mapping[str, str] | None = None
    ) -> None:
        """Logs the first refusal of an address in a minute; the others are counted and reported when it is over."""
        now = self._clock.monotonic()
        if self._minute is None or now - self._minute >= MINUTE:
            self.sum_up()
            self._minute, self._lines = now, 0
        address = self._address(client)
        if address.logged is None or now - address.logged >= MINUTE:
            if self._lines < MAX_LINES:
                self._lines += 1
                address.logged = now
                shown = client or "a local socket"
                log.log(level, "%s, from %s", message, shown, extra={**(fields or {}), "address": shown})
                return
            self._others += 1
        else:
            address.unlogged += 1
        self._sum_up_later()

    def sum_up(self) -> None:
        """Logs what was counted and not logged."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counts = {key: address.unlogged for key, address in self._addresses.items() if address.unlogged}
        total = sum(counts.values()) + self._others
        if not total:
            return
        worst = sorted(counts, key=counts.__getitem__, reverse=True)[:3]
        named = ", ".join(f"{counts[key]:,} from {key or 'a local socket'}" for key in worst)
        log.warning("%s more requests were refused in the last minute%s", f"{total:,}", f": {named}" if named else "")
        for address in self._addresses.values():
            address.unlogged = 0
        self._others = 0

    def _address(self, client: str) -> _Address:
        key = network_of(client)
        found = self._addresses.get(key)
        if found is None:
            if len(self._addresses) >= MAX_ADDRESSES:
                self._others += self._addresses.popitem(last=False)[1].unlogged
            found = self._addresses[key] = _Address()
        else:
            self._addresses.move_to_end(key)
        return found

    def _sum_up_later(self) -> None:
        if self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # reported with the next refusal, then
            self._timer = loop.call_later(MINUTE / SECOND, self._timed)

    def _timed(self) -> None:
        self._timer = None
        self.sum_up()


def network_of(client: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, _PREFIX), strict=False))
