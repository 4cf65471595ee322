"""SIGHUP before anything can reload: by default it ends a process, so it is held until the worker has a handler.

A blocked signal stays pending and is delivered when it is released; a process that is forked inherits that it is
blocked, but not what is pending.
"""

import signal


def hold_reloads() -> None:
    """Has SIGHUP wait, in the calling thread and in processes that it forks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def release_reloads() -> None:
    """Has SIGHUP delivered, one that waits too."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
