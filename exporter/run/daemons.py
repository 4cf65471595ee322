"""The reader of what daemons write that a job leaves behind."""

from __future__ import annotations

import os
import signal

from exporter.run.output import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def leave_reader(streams: Sequence[tuple[int, int]]) -> None:
    """Forks a process that reads what daemons write after the job's end, so that no write fails.

    What goes to a file, a terminal or a socket (systemd's journal) is copied there. What goes to a pipe is dropped: the
    reader of that pipe, cron for example, would wait for the daemon's end.
    """
    import select
    import stat
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads: the child uses nothing that they may hold
        try:
            if os.fork():
                return
        except OSError:
            return
    try:
        for number in FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        targets = {}
        for source, target in streams:
            targets[source] = None if stat.S_ISFIFO(os.fstat(target).st_mode) else target
        for descriptor in (1, 2):
            if descriptor not in targets.values():
                os.dup2(null, descriptor)
        for descriptor in range(3, 1_024):
            if descriptor not in targets:
                try:
                    os.close(descriptor)
                except OSError:
                    pass
        poll = select.poll()
        for source in targets:
            poll.register(source, select.POLLIN)
        while targets:
            for source, _ in poll.poll():
                data = os.read(source, 65_536)
                target_now = targets[source]
                if not data:
                    poll.unregister(source)
                    del targets[source]
                elif target_now is not None:
                    write_all(target_now, data)
    finally:
        os._exit(0)
