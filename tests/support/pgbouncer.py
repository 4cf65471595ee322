"""A real PgBouncer of the tests' own, in front of one of `tests.support.postgres`'s servers."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.ports import free_port
from tests.support.postgres import PASSWORD, PATIENCE, USER, Postgres
from tests.support.tools import need_tool


class PgBouncer:
    """One pooler. As the server, it refuses to run as root."""

    def __init__(self, folder: Path, server: Postgres, mode: str, settings: dict[str, str]) -> None:
        """`mode` is `session`, `transaction` or `statement`; `settings` are further lines of its configuration."""
        self.folder = folder
        self._server = server
        self.port = free_port()
        self._as = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.getuid() == 0 else ()
        users = folder / "users.txt"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "admin_users": USER,
            "pool_mode": mode,
            "server_login_retry": "1",
            **settings,
        }
        self.configuration = folder / "pgbouncer.ini"
        self.configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in options.items())
        )
        if self._as:
            for path in (folder, users, self.configuration):
                shutil.chown(path, "nobody", "nogroup")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        program = shutil.which("pgbouncer", path="/usr/sbin:/sbin") or need_tool("pgbouncer")
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self.process = subprocess.Popen([*self._as, program, str(self.configuration)], stdout=log, stderr=log)
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while True:
            try:
                psycopg.connect(self.url(self._server.url("pgbouncer")), autocommit=True, connect_timeout=3).close()
                return self.process
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "pgbouncer.log").read_text()
                pause.wait(0.05)

    def url(self, url: str) -> str:
        """The database's URL through this pooler."""
        return url.replace(f":{self._server.port}/", f":{self.port}/")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """SIGTERM closes everything at once, SIGINT waits until what was begun has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)


@contextmanager
def pooling(server: Postgres, mode: str, **settings: str) -> Iterator[PgBouncer]:
    with tempfile.TemporaryDirectory(prefix="heartbeats-", ignore_cleanup_errors=True) as name:
        pooler = PgBouncer(Path(name), server, mode, settings)
        try:
            yield pooler
        finally:
            pooler.stop()
