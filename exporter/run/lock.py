"""The lock that keeps runs of one monitor from overlapping."""

from __future__ import annotations

import os

from exporter.run.notices import file_name, notice, reason_of


class RunLock:
    """Held while the wrapper, or a job that outlived it, runs."""

    def __init__(self, tag: str) -> None:
        self._descriptor = -1
        self.holder = ""
        """Who holds the lock, if another run does."""
        name = f"heartbeat-run.{os.getuid()}.{file_name(tag)}.lock"
        folders = ["/run/lock", os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("TMPDIR", ""), "/tmp"]  # noqa: S108
        if os.environ.get("HEARTBEAT_LOCK_DIR"):
            folders = [os.environ["HEARTBEAT_LOCK_DIR"]]
        problem = "no folder for it"
        for folder in folders:
            if not os.path.isdir(folder):
                continue
            try:
                self._take(os.path.join(folder, name))
            except OSError as error:
                problem = f"{folder}: {reason_of(error)}"
                continue
            return
        notice(f"--lock: {problem}: the job runs without a lock")

    def _take(self, path: str) -> None:
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        if os.fstat(descriptor).st_uid != os.getuid():
            os.close(descriptor)
            raise PermissionError(1, "the lock file is another user's")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.holder = self._read(descriptor) or "another run"
            os.close(descriptor)
            return
        pid, _, start = self._read(descriptor).partition(" ")
        if pid.isdigit() and start and start == started_at(int(pid)):  # its wrapper was killed, the job was not
            self.holder = f"process {pid}, whose wrapper has ended"
            os.close(descriptor)
            return
        self._descriptor = descriptor

    def _read(self, descriptor: int) -> str:
        return os.pread(descriptor, 100, 0).decode("ascii", "replace").strip()

    def name_holder(self, pid: int) -> None:
        """Notes the job's process."""
        if self._descriptor >= 0 and pid:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{pid} {started_at(pid)}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def started_at(pid: int) -> str:
    """When a process started, in the kernel's own unit; empty where there is no /proc, or no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read(4_096).rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError, ValueError):
        return ""
