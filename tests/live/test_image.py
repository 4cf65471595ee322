"""What the Dockerfile runs, run without an engine: in plain virtual environments, on what its COPY lines name."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, curl, eventually, fetch
from tests.support import dockerfile
from tests.support.ports import free_port

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]
BUILD, IMAGE = dockerfile.read(ROOT / "deploy" / "Dockerfile")


def run(command: str, folder: Path, environment: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def venv(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=100)
    return folder


def test_what_the_image_builds_and_runs(tmp_path: Path) -> None:
    """The wheel from the context alone, installed, started as by default, and asked by the health check."""
    source, wheels, port = tmp_path / "src", tmp_path / "wheels", free_port()
    source.mkdir()
    for copy in dockerfile.named(BUILD, "COPY"):
        *names, target = copy.words
        for name in names:
            here = ROOT / name
            if here.is_dir():
                shutil.copytree(here, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(here, source / target)

    def here(text: str) -> str:
        """The same with folders and the port of this test."""
        for place in ("/wheels", "/data", "/etc/heartbeat"):
            text = text.replace(place, f"{tmp_path}{place}")
        return text.replace("10105", str(port))

    building = venv(tmp_path / "building")
    for command in dockerfile.named(BUILD, "RUN")[0].commands:
        run(here(command), source, building)
    image = venv(tmp_path / "image")
    users = ("groupadd ", "useradd ", "install -d -o ")  # they would change this machine
    commands = [one for one in dockerfile.named(IMAGE, "RUN")[0].commands if not one.startswith(users)]
    assert len(commands) == 3
    for command in commands:
        run(here(command), tmp_path, image)
    assert not wheels.exists()

    (entry,), (arguments,) = dockerfile.named(IMAGE, "ENTRYPOINT"), dockerfile.named(IMAGE, "CMD")
    (check,) = dockerfile.named(IMAGE, "HEALTHCHECK")
    _, _, probe = check.rest.partition("CMD ")
    health = [here(word) for word in dockerfile.Instruction("CMD", probe).words]
    health[0] = str(image / "bin" / health[0])
    assert subprocess.run(health, capture_output=True, timeout=30, check=False).returncode != 0
    data = tmp_path / "data"
    data.mkdir()
    command = [str(image / "bin" / entry.words[0]), *map(here, arguments.words)]
    command[command.index("--web.listen-address") + 1] = f"127.0.0.1:{port}"
    log = tmp_path / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=data, stdout=said, stderr=said)
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: fetch(f"{url}/-/ready").status == 200)
        assert subprocess.run(health, capture_output=True, timeout=30, check=False).returncode == 0
        runbook = curl(f"{url}/docs/runbooks/HeartbeatDown")
        assert (runbook.status, ">HeartbeatDown</h1>" in runbook.body) == (200, True)
        # As by `docker exec`, in the folder of WORKDIR: it is the same database.
        add = [command[0], "monitor", "add", "job"]
        added = subprocess.run(add, cwd=data, capture_output=True, text=True, timeout=30, check=False)
        assert added.returncode == 0, added.stderr
        (heartbeat,) = re.findall(r"/ext/heartbeat/job:\S+", added.stdout)
        eventually(lambda: fetch(f"{url}{heartbeat}").status == 200)
    finally:
        process.terminate()
        assert process.wait(40) == 0, log.read_text()
    assert (data / "heartbeats.db").exists()
