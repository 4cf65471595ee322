"""A reader who follows one document to the letter, in a world where its names and addresses lead to what a test has."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.live.conftest import SECRET, Service, eventually, fetch
from tests.support.documents import ROOT, Block, blocks, missing_lines
from tests.support.ports import free_port
from tests.support.tools import need_tool

SERVERS = re.compile(r"^(heartbeat-exporter serve|prometheus |alertmanager |make run)")
"""Commands that do not end by themselves; each is the last one of its block."""
RULE_INTERVALS = [("interval: 1m", "interval: 1s")]
Hooks = Mapping[str, Callable[[], object]]
"""What happens before the block that holds a text."""


class DocumentedService(Service):
    """Runs with the very file that commands are given; PORT in it is the service's."""

    def _start(self, prefix: tuple[str, ...]) -> subprocess.Popen[bytes]:
        self.config.write_text(self.config.read_text().replace("PORT", str(self.port)))
        return super()._start(prefix)


class Reader:
    """Runs the blocks of a document in their order, and checks what each of them does."""

    def __init__(self, folder: Path, document: str) -> None:
        self.folder, self.document = folder, ROOT / document
        self.work, self.etc, self.lib = folder / "work", folder / "etc", folder / "lib"
        self.backups, self.bin = folder / "backup", folder / "bin"
        for each in (self.work, self.etc, self.lib, self.backups, self.bin, folder / "grafana"):
            each.mkdir()
        self.service: DocumentedService | None = None
        self.ports = {"9090": free_port(), "9093": free_port()}
        self.environment = {"HOME": str(folder), "TOKEN": "token-of-the-documents"}
        self.names: dict[str, str] = {}
        """More texts to replace."""
        self.ready = ""
        """Where a server that the document starts answers."""
        self.processes: list[subprocess.Popen[bytes]] = []
        self._programs()

    # ── its world ────────────────────────────────────────────────────────────────────────────────────────────────

    def _programs(self) -> None:
        """Those of the documents that are elsewhere, or are not for a test to run as they are."""
        self.program("heartbeat-exporter", f'exec {sys.executable} -m exporter "$@"')
        self.program("sudo", '[ "$1" = -u ] && shift 2; exec "$@"')
        self.program("pip", f'exec {sys.executable} -m pip "$@" --dry-run --quiet --no-deps')
        self.program("python3", f'exec {sys.executable} "$@"')
        self.program("install", f'[ "$1" = -o ] && shift 4; exec {need_tool("install")} "$@"')
        self.program(
            "systemctl",
            f'echo "$1" >>{self.folder}/systemctl; while [ -s {self.folder}/systemctl ]; do sleep 0.1; done',
        )
        if shutil.which("prometheus-alertmanager"):
            self.program("alertmanager", 'exec prometheus-alertmanager --cluster.listen-address= "$@"')

    def program(self, name: str, script: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def serve(self, config: str, token: bool = False) -> DocumentedService:
        """Starts the service of the document."""
        auth = f", auth: {{token: {self.environment['TOKEN']}}}" if token else ""
        config = (
            f'web: {{listen_address: "127.0.0.1:PORT"{auth}}}\nsecret_key: {"k" * 32}\n'
            f'storage: {{url: "sqlite:///{self.lib}/heartbeats.db"}}\n{config}'
        )
        self.service = DocumentedService(self.etc, config, "heartbeats", storage=f"sqlite:///{self.lib}/heartbeats.db")
        self.service.config.chmod(0o640)
        self.service.ready()
        return self.service

    def watch(self) -> None:
        """A Prometheus with the shipped rules scrapes the service once a second.

        The files are those that `assets export` writes, as its own tests show.
        """
        sources = shutil.ignore_patterns("*.py", "__pycache__", "source")
        shutil.copytree(ROOT / "alertmanager", self.work, ignore=sources, dirs_exist_ok=True)
        for name, changes in {
            "prometheus.yml": [
                ("interval: 15s", "interval: 1s"),
                ("127.0.0.1:9093", f"127.0.0.1:{self.ports['9093']}"),
            ],
            "heartbeat-rules.yml": RULE_INTERVALS,
        }.items():
            text = (self.work / name).read_text()
            for old, new in changes:
                assert old in text, (name, old)
                text = text.replace(old, new)
            (self.work / name).write_text(self.translated(text))
        self.start(
            "prometheus",
            "--config.file=prometheus.yml",
            "--rules.alert.resend-delay=1s",
            f"--storage.tsdb.path={self.folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.ports['9090']}",
        )
        eventually(lambda: fetch(f"http://127.0.0.1:{self.ports['9090']}/-/ready").status == 200)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen(
                [need_tool(command[0]), *command[1:]], cwd=self.work, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        if self.service is not None:
            self.service.kill()
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)

    # ── what it reads ────────────────────────────────────────────────────────────────────────────────────────────

    def translated(self, text: str) -> str:
        """With addresses, folders and the secret of this world."""
        port = self.service.port if self.service is not None else free_port()
        names = {
            "/opt/heartbeat/bin": str(self.bin),
            "/etc/heartbeat/": f"{self.etc}/",
            "/var/lib/heartbeat": str(self.lib),
            "/var/lib/grafana": f"{self.folder}/grafana/lib",
            "/etc/grafana": f"{self.folder}/grafana/etc",
            "/backup/": f"{self.backups}/",
            "https://heartbeats.example.org": f"http://127.0.0.1:{port}",
            "127.0.0.1:10105": f"127.0.0.1:{port}",
            "127.0.0.1:9090": f"127.0.0.1:{self.ports['9090']}",
            "127.0.0.1:9093": f"127.0.0.1:{self.ports['9093']}",
            ":SECRET": f":{SECRET}",
        }
        for old, new in {**self.names, **names, **self.names}.items():  # those of the test come first
            text = text.replace(old, new)
        return text

    def fail_on_errors(self) -> None:
        """Has curl fail where the service answers with an error."""
        (self.folder / ".curlrc").write_text("fail-with-body\n")

    def in_folder_of_database(self) -> None:
        """Commands that name no database find it where they are."""
        self.work = self.lib

    def heartbeat_exporter(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "exporter", *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=60)

    def follow_commands(self) -> None:
        """Without its queries."""
        self.follow(queries=False)

    def follow(self, hooks: Hooks | None = None, queries: bool = True) -> None:
        """Runs every block that is not marked; each hook has to be needed."""
        unused = set(hooks or {})
        printed = ""
        for block in blocks(self.document):
            for text, act in (hooks or {}).items():
                if text in unused and text in block.text:
                    unused.remove(text)
                    act()
            if block.language == "sh" and block.no_test is None:
                printed = self.run(block)
            elif block.is_output:
                assert not missing_lines(block.text, printed), f"{block}: it printed\n{printed}"
            elif block.language == "promql" and queries:
                self.query(block)
        assert not unused, f"no block holds {unused}"

    def run(self, block: Block) -> str:
        """What it prints, errors too."""
        script = self.translated(block.text)
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        environment |= self.environment
        printed = self.folder / f"printed-{block.line}"
        serves = bool(SERVERS.search(block.commands[-1]))
        with printed.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-e", "-c", script], cwd=self.work, env=environment, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        if serves:
            self._await_server(block, process, printed)
        else:
            eventually(lambda: self._attend(process) is not None, 120)
            assert process.returncode == block.exit, f"{block}:\n{script}\n{printed.read_text(errors='replace')}"
        return printed.read_text(errors="replace")

    def _attend(self, process: subprocess.Popen[bytes]) -> int | None:
        """Does what a command asked systemd to do, as it would."""
        wish = self.folder / "systemctl"
        verb = wish.read_text().strip() if wish.exists() else ""
        if verb and self.service is not None:
            if verb in ("stop", "restart"):
                assert self.service.stop() == 0
            if verb in ("start", "restart"):
                self.service.start_again()
        if verb:
            wish.write_text("")
        return process.poll()

    def _await_server(self, block: Block, process: subprocess.Popen[bytes], printed: Path) -> None:
        """It has to answer, and is left running until the end."""

        def answers() -> bool:
            assert process.poll() is None, f"{block} ended:\n{printed.read_text(errors='replace')}"
            return fetch(self.ready).status == 200

        eventually(answers, 60)

    def query(self, block: Block) -> None:
        """Each query has an answer of at least one series."""
        for query in block.queries:
            address = f"http://127.0.0.1:{self.ports['9090']}/api/v1/query?query={urllib.parse.quote(query)}"

            def answered(address: str = address, query: str = query) -> bool:
                answer = json.loads(fetch(address).body)
                assert answer["status"] == "success", (str(block), query, answer)
                return block.may_be_empty or bool(answer["data"]["result"])

            try:
                eventually(answered, 30)
            except AssertionError as error:
                raise AssertionError(f"{block}: no series for {query}") from error
