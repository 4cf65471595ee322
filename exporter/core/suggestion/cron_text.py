"""Writes cron expressions from the numbers that their fields name."""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise


def field(values: Collection[int], low: int, high: int, *, star_steps: bool = True) -> str:
    """The shortest text of a field that names these numbers of `low` to `high`: `*`, `*/5`, `1-5`, `7-59/15`, `1,8`.

    Without `star_steps`, no step begins with a star: cron treats such fields differently when clocks change.
    """
    ordered = sorted(values)
    if len(ordered) == high - low + 1:
        return "*"
    return _stepped(ordered, low, high, star_steps) or ",".join(_ranges(ordered))


def _stepped(ordered: Sequence[int], low: int, high: int, star_steps: bool) -> str | None:
    if len(ordered) < 3:
        return None
    step = ordered[1] - ordered[0]
    if step < 2 or any(later - earlier != step for earlier, later in pairwise(ordered)):
        return None
    if ordered[0] == low and ordered[-1] + step > high and star_steps:
        return f"*/{step}"
    return f"{ordered[0]}-{high if ordered[-1] + step > high else ordered[-1]}/{step}"


def _ranges(ordered: Sequence[int]) -> Iterator[str]:
    """Lists with what follows one another as a range."""
    start = 0
    for place in range(1, len(ordered) + 1):
        if place == len(ordered) or ordered[place] != ordered[place - 1] + 1:
            run = ordered[start:place]
            yield f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run))
            start = place
