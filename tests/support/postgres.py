"""A real PostgreSQL of the tests' own: a cluster in a temporary folder, which goes with them."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from tests.support.ports import free_port
from tests.support.tools import need_tool, run_tool

USER, PASSWORD = "heartbeats", "SESAME-postgres/p%w"
PATIENCE = 30.0


def _program(name: str) -> str:
    """The one on the PATH, else Debian's newest: there the server's programs are kept off the PATH, by version."""
    found = shutil.which(name)
    if found is not None:
        return found
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(newest[-1]) if newest else need_tool(name)


class Postgres:
    """One server. It refuses to run as root, so root starts it as somebody else."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder = folder
        self.port = free_port()
        self._numbers = count(1)
        self._as = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.getuid() == 0 else ()
        if self._as:
            shutil.chown(folder, "nobody", "nogroup")
        word = folder / "password"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        self._run("initdb", "-D", "data", "-U", USER, "--pwfile", str(word), "-A", "scram-sha-256", "-N", "-E", "UTF8")
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n"
                f"fsync = {'on' if durable else 'off'}\nmax_connections = 60\nshared_buffers = 64MB\n"
            )
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._as, _program("postgres"), "-D", str(self.folder / "data")], stdout=log, stderr=log
            )
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=3).close()
                return self.process
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
                pause.wait(0.05)

    def url(self, name: str) -> str:
        password = PASSWORD.replace("%", "%25").replace("/", "%2F")
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{name}"

    def speak_tls(self) -> Path:
        """From the next start on, with a certificate for localhost; returns that certificate."""
        data = self.folder / "data"
        run_tool(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", str(data / "server.key"),
            "-out", str(data / "server.crt"),
        )  # fmt: skip
        (data / "server.key").chmod(0o600)
        if self._as:
            for name in ("server.key", "server.crt"):
                shutil.chown(data / name, "nobody", "nogroup")
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")
        return data / "server.crt"

    def create(self, template: str = "template1") -> str:
        """A database of one's own; its URL."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT is its fast shutdown, SIGQUIT a crash; SIGKILL is refused, since it would leave its children."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)

    def pids(self) -> list[int]:
        """The server and its children."""
        pid = self.process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def pause(self) -> None:
        """Everything stands still: whoever asks gets no answer, and no error either."""
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, _program(program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """A server, which is killed in the end.

    No test waits until its files are gone: those of some hundred databases take longer on a slow disk than a test may.
    """
    folder = Path(tempfile.mkdtemp(prefix="heartbeats-"))
    try:
        server = Postgres(folder, durable=durable)
        try:
            yield server
        finally:
            server.resume()
            server.stop(signal.SIGQUIT)
    finally:
        os.posix_spawnp("rm", ["rm", "-rf", str(folder)], os.environ)


class Line:
    """A line to the server that can be cut: nothing goes through, and nobody is told."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._whole = threading.Event()
        self._whole.set()
        self._over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """The database's URL by this line."""
        return url.replace(f":{self._server.port}/", f":{self._listener.getsockname()[1]}/")

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self._over = True
        self._whole.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._whole.wait()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server.port))
                except OSError:
                    client.close()
                    continue
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while not self._over:
                some = source.recv(65536)
                self._whole.wait()
                if not some:
                    break
                sink.sendall(some)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def line(server: Postgres) -> Iterator[Line]:
    one = Line(server)
    try:
        yield one
    finally:
        one.close()
