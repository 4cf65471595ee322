"""docs/importing.md: its commands work as they stand."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.importing import test_crontab, test_healthchecks, test_kener, test_uptime_kuma
from tests.importing.conftest import command, write
from tests.support.documents import ROOT, blocks
from tests.support.receivers import Receiver, answer


def test_the_commands_of_the_document(tmp_path: Path, receiver: Receiver) -> None:
    commands = [block.text for block in blocks(ROOT / "docs/importing.md") if block.language == "sh"]
    assert len(commands) == 5
    run_all([text.replace("http://127.0.0.1:8808", receiver.url) for text in commands], tmp_path, receiver)


def test_the_examples_of_its_help(tmp_path: Path, receiver: Receiver) -> None:
    helps = [command(name, "--help").output for name in ("kener", "healthchecks", "uptime-kuma", "crontab")]
    examples = re.findall(r"^    (heartbeat-exporter .*(?:\n {6,}--.*)*)", "\n".join(helps), re.MULTILINE)
    assert len(examples) == 6
    run_all(
        [re.sub(r"--url https://[hk]e\w+.example.org --key", f"--url {receiver.url} --key", text) for text in examples],
        tmp_path,
        receiver,
    )


def run_all(commands: list[str], tmp_path: Path, receiver: Receiver) -> None:
    write(tmp_path / "kuma.db", test_uptime_kuma.TABLES)
    write(tmp_path / "kener.sqlite.db", test_kener.TABLES)
    write(tmp_path / "hc.sqlite", test_healthchecks.TABLES)
    (tmp_path / "crontab.txt").write_text(test_crontab.TEXT)
    (tmp_path / "key").write_text("SESAME-api-key\n")
    (tmp_path / "heartbeats.yml").write_text("include: [imported.yml]\n")
    receiver.behave(answer(200, json.dumps({"monitors": []})), answer(200, json.dumps({"checks": []})))
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for text in commands:
        result = subprocess.run(["sh", "-e", "-c", text], cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert result.returncode == 0, (text, result.stderr)
    assert (tmp_path / "crontab.new").read_text().startswith(f"HEARTBEAT_CONFIG={tmp_path}/run.env\n")
    assert [request.target for request in receiver.received] == ["/api/v4/monitors", "/api/v3/checks/"]
