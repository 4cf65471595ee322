"""What the C library keeps of memory, where it is glibc; elsewhere nothing is done."""

import ctypes

_ARENA_MAX = -8
"""M_ARENA_MAX of <malloc.h>."""


def keep_few_arenas() -> None:
    """Called before threads start: each would otherwise get a heap of its own, and the interpreter's lock lets only one
    of them allocate at a time anyway.
    """
    _call("mallopt", _ARENA_MAX, 1)


def give_back() -> None:
    """Returns to the system what has become free, such as what the imports and the configuration took."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
