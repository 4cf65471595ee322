"""`heartbeat-run` as one file: made of its modules, for Python 3.8, and quick to start."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__
from exporter.run import bundle as bundles
from exporter.run.bundle import MODULES, bundle
from exporter.run.options import VERSION
from tests.support.runner import Runner
from tests.support.tools import run_tool

FOLDER = Path(bundles.__file__).parent
BEFORE_THE_JOB = {"exporter", "exporter.run", *(f"exporter.run.{name}" for name in MODULES), "__future__", "signal"}
"""What the wrapper may import before its job begins, beside what every Python has: each costs a job time."""


def test_it_is_all_of_its_modules() -> None:
    files = {file.stem for file in FOLDER.glob("*.py")} - {"__init__", "bundle"}
    assert files == set(MODULES)
    text = bundle()
    assert "exporter." not in re.sub(r'"""[\s\S]*?"""', "", text)
    for name in MODULES:
        for node in ast.parse((FOLDER / f"{name}.py").read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                assert len(re.findall(rf"^(?:class|def) {node.name}\b", text, re.MULTILINE)) == 1


def test_it_is_python_3_8(tmp_path: Path) -> None:
    """By its grammar, and by the modules and functions that it uses; the other tests run it where there is a 3.8."""
    file = tmp_path / "heartbeat-run.py"
    file.write_text(bundle())
    ast.parse(file.read_text(), feature_version=(3, 8))
    run_tool(str(Path(sys.executable).parent / "vermin"), "--no-tips", "--violations", "-t=3.8-", str(file))


def test_it_imports_what_it_uses_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat-run.py"
    file.write_text(bundle())
    run_tool(str(Path(sys.executable).parent / "ruff"), "check", "--isolated", "--select", "F,E9", str(file))


def test_versions_agree() -> None:
    assert __version__ == VERSION


def test_little_is_imported_before_the_job_begins() -> None:
    """The modules that a bare Python has with `signal` aside; what else there is comes while the job runs."""
    code = "import sys; before = set(sys.modules); import {}; print(*(set(sys.modules) - before))"

    def imported(name: str) -> set[str]:
        command = [sys.executable, "-c", code.format(name)]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert imported("exporter.run.wrapper") <= BEFORE_THE_JOB | imported("signal") | imported("time")


@pytest.mark.live
def test_the_job_begins_before_the_rest_is_imported(runner: Runner) -> None:
    """What a job with every option pays for, in modules: as above, and a lock."""
    trace = "import sys; sys.stderr.write(' '.join(sys.modules)); sys.exit(0)"
    site = runner.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, sys\nreal = os.posix_spawnp\n"
        "def spawn(*a, **k):\n"
        "    open(os.environ['SEEN'], 'w').write(' '.join(sys.modules))\n"
        "    return real(*a, **k)\n"
        "os.posix_spawnp = spawn\n"
    )
    runner.environment |= {"PYTHONPATH": str(site), "SEEN": str(runner.folder / "seen")}
    options = ["--lock", "--quiet", "--timeout", "1m", "--retries", "1", "--spool", str(runner.folder / "spool")]
    assert runner.run(*options, "job", "--", runner.python, "-c", trace).returncode == 0
    seen = set((runner.folder / "seen").read_text().split())
    assert seen.isdisjoint(
        {"argparse", "threading", "subprocess", "socket", "ssl", "json", "urllib.request", "tempfile"}
    )


@pytest.mark.live
def test_no_other_file_of_its_folder_is_imported(runner: Runner) -> None:
    """A file re.py beside it is none of ours."""
    for name in ("re", "json", "socket", "random", "signal", "time", "threading"):
        (runner.folder / f"{name}.py").write_text("raise SystemExit(99)\n")
    done = runner.run("job", "--", "sh", "-c", "exit 3")
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.live
@pytest.mark.parametrize("program", [["-m", "exporter", "run"], ["-m", "exporter.run.wrapper"]])
def test_the_installed_programs(runner: Runner, program: list[str]) -> None:
    command = [sys.executable, *program, "job", "--", "sh", "-c", "echo x; exit 3"]
    if program[1] == "exporter.run.wrapper":
        command[1:3] = ["-c", "from exporter.run.wrapper import command; command()"]
    done = subprocess.run(command, env=runner.settings(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"x\n", b"")
