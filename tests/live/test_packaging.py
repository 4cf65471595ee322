"""The sdist and the wheel made from it hold everything that the program needs at run time."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import made
from tests.live.conftest import ROOT, curl, eventually, fetch
from tests.support.ports import free_port

pytestmark = pytest.mark.live


def test_wheel_and_sdist(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=170,
    )
    wheel = next(tmp_path.glob("heartbeat_exporter-*.whl"))
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "exporter").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert sources <= names
    shipped = [ROOT / "alertmanager", ROOT / "dashboards", ROOT / "docs"]
    kinds = ("__init__.py", "*.json", "*.yml", "*.yaml", "*.tmpl", "*.md", "*.png")
    data = [file for folder in shipped for kind in kinds for file in folder.rglob(kind) if file.parent.name != "source"]
    assert {f"exporter/{file.relative_to(ROOT)}" for file in data} <= names
    assert not any("/source/" in name for name in names), "what builds the files needs no installing"
    assert not any(name.startswith(("tests/", "bench/")) for name in names)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    assert sources | {"README.md", "LICENSE", "setup.cfg", "pyproject.toml"} <= packed
    builders = [file for folder in shipped for file in folder.glob("source/*.py")]
    assert {str(file.relative_to(ROOT)) for file in (*data, *builders)} <= packed
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=100)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    command = [
        str(target / "bin" / "heartbeat-exporter"),
        "monitor",
        "list",
        "--storage.url",
        made(f"sqlite:///{tmp_path}/x.db"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60, check=False
    )
    assert "No monitors in" in done.stdout, done.stderr
    exported = tmp_path / "assets"
    done = subprocess.run(
        [*command[:1], "assets", "export", str(exported)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for file in (one for one in data if one.name != "__init__.py"):
        assert (exported / file.relative_to(ROOT)).read_bytes() == file.read_bytes()
    url = f"http://127.0.0.1:{free_port()}"
    serve = [*command[:1], "serve", "--web.listen-address", url.removeprefix("http://"), *command[-2:]]
    with (tmp_path / "serve.log").open("wb") as log:
        service = subprocess.Popen(serve, stdout=log, stderr=log, cwd=tmp_path, env=environment)
    try:
        eventually(lambda: fetch(f"{url}/-/ready").status == 200)
        runbook = curl(f"{url}/docs/runbooks/HeartbeatDown")
        assert (runbook.status, ">HeartbeatDown</h1>" in runbook.body) == (200, True)
        assert curl(f"{url}/docs/").status == curl(f"{url}/docs/incident.png").status == 200
    finally:
        service.terminate()
        service.wait(40)
