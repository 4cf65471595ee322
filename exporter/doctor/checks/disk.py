"""Checks of the disk that holds an SQLite database."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Finding, ok, problem, skipped, warning

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "fuse.sshfs", "gfs2")
_MEMORY = ("tmpfs", "ramfs")
_LAYERS = ("overlay", "aufs")
MIN_FREE, CRITICAL_FREE = 512 * 2**20, 64 * 2**20
"""Bytes: the write-ahead log alone takes 32 MB under load."""
MAX_FSYNC = 0.05
"""Seconds for an fsync. An ordinary disk takes 1 to 20 ms, an SSD less."""
_TRIES = 9
_ELSEWHERE = "the database is on a PostgreSQL server"


def file_system(context: DoctorContext) -> Iterator[Finding]:
    """SQLite's file is on a local disk that keeps it when the machine or container restarts."""
    folder = _folder(context)
    if folder is None:
        yield skipped(_ELSEWHERE)
        return
    kind = file_system_of(folder, context.mounts.read_text())
    if kind in _NETWORK:
        yield warning(
            f"{folder} is on a network file system ({kind}), where SQLite's locks are not safe",
            "Put the database on a local disk, or use PostgreSQL.",
        )
    elif kind in _MEMORY:
        yield warning(
            f"{folder} is in memory ({kind}): a restart of the machine deletes it", "Put the database on a disk."
        )
    elif kind in _LAYERS:
        yield warning(
            f"{folder} is in the container's own layer ({kind}): it is deleted with the container",
            "Mount a volume at this folder (docs/deploy.md).",
        )
    else:
        yield ok(f"{folder} is on {kind}")


def space(context: DoctorContext) -> Iterator[Finding]:
    """The disk has free space."""
    folder = _folder(context)
    if folder is None:
        yield skipped(_ELSEWHERE)
        return
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB free in {folder}"
    advice = "Free disk space: when the disk is full, the service answers heartbeats with 503."
    if usage.free < CRITICAL_FREE:
        yield problem(text, advice)
    elif usage.free < MIN_FREE:
        yield warning(text, advice)
    else:
        yield ok(text)


def speed(context: DoctorContext) -> Iterator[Finding]:
    """An fsync, for which every heartbeat waits, is fast."""
    folder = _folder(context)
    if folder is None:
        yield skipped(_ELSEWHERE)
        return
    try:
        took = sorted(_fsyncs(folder))
    except OSError as error:
        yield problem(
            f"cannot write a file in {folder}: {(error.strerror or 'error').lower()}",
            "SQLite writes a log next to its file: let the service's user write to the folder, and run doctor as that "
            "user.",
        )
        return
    median = took[len(took) // 2]
    text = f"an fsync takes {median * 1e3:.1f} ms, the longest of {len(took)} took {took[-1] * 1e3:.1f} ms"
    if median > MAX_FSYNC:
        yield warning(
            text, "Each heartbeat waits for it: use a faster disk, or find out which program keeps this one busy."
        )
    else:
        yield ok(text)


def file_system_of(folder: Path, mounts: str) -> str:
    """Returns the type of the folder's file system from the lines of /proc/self/mounts; the last mount wins."""
    best, kind = Path(), "an unknown file system"
    for line in mounts.splitlines():
        _, place, mounted_kind, *_ = line.split(" ")
        mounted = Path(place.encode().decode("unicode_escape"))  # a blank is \040 there
        if folder.is_relative_to(mounted) and len(mounted.parts) >= len(best.parts):
            best, kind = mounted, mounted_kind
    return kind


def _folder(context: DoctorContext) -> Path | None:
    file = context.database.engine.file
    return None if file is None else file.resolve().parent


def _fsyncs(folder: Path) -> Iterator[float]:
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_TRIES):
            began = time.monotonic()
            os.write(file.fileno(), b"x" * 4096)
            os.fsync(file.fileno())
            yield time.monotonic() - began
