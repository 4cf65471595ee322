"""Memory that the C library keeps, where it is glibc; elsewhere nothing is done."""

import ctypes


def give_back() -> None:
    """Returns to the system what has become free, such as what the imports and the configuration took."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
