"""What README and docs tell people to paste, pasted: each example is taken from the text and run as it stands there."""

import html
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, SECRET, Service, Starter, curl, eventually, free_port, monitors
from tests.live.test_ingest import rows
from tests.support.tools import need_tool, run_tool

pytestmark = pytest.mark.live
TAG = "nightly-backup"
DOCUMENTS = {name: (ROOT / name).read_text() for name in ("README.md", "docs/heartbeats.md", "docs/operations.md")}
URL = re.compile(r"https?://[\w.:]+/ext/heartbeat/nightly-backup:SECRET")
EXECUTABLES = re.compile(r"/usr/local/bin/backup|/opt/heartbeat/bin/heartbeat-exporter")
Kinds = list[tuple[str, int | None]]


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENTS[document], re.S | re.M)


def cron_lines() -> list[str]:
    """Their commands, as cron would hand them to sh."""
    found = [each for document in ("README.md", "docs/heartbeats.md") for each in blocks(document, "crontab")]
    found = [line for line in found if "heartbeat-run" not in line]  # tests/run/test_options.py runs those
    commands = [re.fullmatch(r"(?:\S+ ){5}(.+)\n", line) for line in found]
    assert len(commands) == 3
    assert all(commands)
    return [command[1] for command in commands if command is not None]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("examples"), monitors(TAG) + "storage: {heartbeats_kept: 1000}\n").ready()
    yield service
    service.kill()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A backup that prints a line and exits as it is told."""
    job = tmp_path / "backup"
    job.write_text('#!/bin/sh\necho "42 files"\nexit "${RESULT:-0}"\n')
    job.chmod(0o755)
    return job


def pasted(text: str, service: Service) -> str:
    changed = URL.sub(f"{service.url}/ext/heartbeat/{TAG}:{SECRET}", text)
    assert changed != text, "no heartbeat URL in it"
    return changed


def kinds(service: Service) -> Kinds:
    return [(kind, exit_code) for kind, exit_code, _, _ in rows(service, TAG)]


def sh(script: str, job: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script],
        env={**os.environ, "PATH": f"{job.parent}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("document", ["README.md", "docs/heartbeats.md"])
def test_curl(service: Service, job: Path, document: str) -> None:
    need_tool("curl")
    example = next(each for each in blocks(document, "sh") if each.startswith("curl "))
    before = kinds(service)
    done = sh(pasted(example, service), job)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"status":"OK"}', "")
    assert kinds(service) == [*before, ("success", None)]


@pytest.mark.parametrize("result", ["0", "3"])
@pytest.mark.parametrize("number", range(3))
def test_cron(service: Service, job: Path, number: int, result: str) -> None:
    """Quietly: cron makes a mail of every output."""
    command = pasted(cron_lines()[number], service).replace("/usr/local/bin/backup", f"{job} >/dev/null")
    before = kinds(service)
    done = sh(command, job, RESULT=result)
    assert (done.stdout, done.stderr) == ("", "")
    if "&&" in command:
        told: Kinds = [("success", None)] if result == "0" else []
    else:
        told = [("success", 0)] if result == "0" else [("failure", int(result))]
    assert kinds(service) == before + told


OUTPUTS = {
    "a line": b"42 files\n",
    "none": b"",
    "large": b"0123456789abcde\n" * 65_536,
    "a file's name": b"@/etc/hostname",
    "a file's name before more": b"@/etc/hostname\nand more\n",
    "standard input's name": b"@-",
    "an option": b"--output /dev/null\n$(exit 9) `exit 9` %s \\n 'a' \"b\"\n",
    "binary": bytes(range(256)) * 8,
}


def output_lines(place: str, service: Service) -> str:
    """What this document or page shows to send a run's start, exit code and output."""
    if place == "the monitor's page":
        body = curl(f"{service.url}/monitors/{TAG}").body
        examples = [html.unescape(code) for code in re.findall(r"<pre><code>(.*?)</code></pre>", body, re.S)]
    else:
        examples = blocks(place, "sh")
    [lines] = [example for example in examples if "/start" in example]
    return pasted(lines, service).replace("./job", "backup")


@pytest.mark.parametrize("result", ["0", "7"])
@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("place", ["docs/heartbeats.md", "the monitor's page"])
def test_a_run_with_its_output(service: Service, job: Path, place: str, name: str, result: str) -> None:
    need_tool("curl")
    output, temporary = job.parent / "output", job.parent / "temporary"
    output.write_bytes(OUTPUTS[name])
    temporary.mkdir()
    job.write_text(f'#!/bin/sh\ncat {output}\nexit "$RESULT"\n')
    done = sh("set -e\n" + output_lines(place, service), job, RESULT=result, TMPDIR=str(temporary))
    assert (done.returncode, done.stderr) == (int(result), "")
    assert list(temporary.iterdir()) == []
    start, end = rows(service, TAG)[-2:]
    assert (start[0], end[:2]) == ("start", ("success" if result == "0" else "failure", int(result)))
    assert start[2] == end[2]
    same = curl("--data-binary", "@-", f"{service.url}/ext/heartbeat/{TAG}:{SECRET}/log", input=OUTPUTS[name])
    assert done.stdout.endswith(same.body), "the answer says where the output was cut"
    whole = rows(service, TAG)[-1][3]
    if name == "large":  # the job sends the last 100 kB, of which the service keeps the first and the last part
        assert end[3].endswith(whole[-9_000:])
        assert end[3].startswith(OUTPUTS[name][-100_000:][:1_000].decode() + "\n[… 90,000 bytes are missing")
        return
    assert end[3] == whole
    if name not in ("none", "binary"):
        assert end[3] == OUTPUTS[name].decode()


def programs(folder: Path, *names: str) -> Path:
    """A folder with these programs and no other."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(need_tool(name))
    return folder


def without_mktemp(folder: Path) -> dict[str, str]:
    return {"PATH": str(programs(folder / "programs", "cat", "curl", "head", "rm", "tail"))}


def without_head(folder: Path) -> dict[str, str]:
    return {"PATH": str(programs(folder / "programs", "cat", "curl", "mktemp", "rm", "tail"))}


def without_tail(folder: Path) -> dict[str, str]:
    return {"PATH": str(programs(folder / "programs", "cat", "curl", "head", "mktemp", "rm"))}


def without_the_folder(folder: Path) -> dict[str, str]:
    return {"TMPDIR": str(folder / "missing")}


def without_room(folder: Path) -> dict[str, str]:
    """The file can be made, and each write to it fails with ENOSPC."""
    full = programs(folder / "programs", "cat", "curl", "head", "rm", "tail") / "mktemp"
    full.write_text(
        f"#!/bin/sh\ncat </dev/null\nrm -f {folder}/full\n/bin/ln -s /dev/full {folder}/full\necho {folder}/full\n"
    )
    full.chmod(0o755)
    return {"PATH": str(full.parent)}


@pytest.mark.parametrize("result", ["0", "7"])
@pytest.mark.parametrize("trouble", [without_mktemp, without_head, without_tail, without_the_folder, without_room])
@pytest.mark.parametrize("place", ["docs/heartbeats.md", "the monitor's page"])
def test_a_job_runs_whatever_becomes_of_its_output(
    service: Service, tmp_path: Path, place: str, trouble: Callable[[Path], dict[str, str]], result: str
) -> None:
    """And once, to its end, with its exit code sent and returned."""
    need_tool("curl")
    null = os.stat("/dev/null")
    environment = trouble(tmp_path)
    runs, job = tmp_path / "runs", tmp_path / "job" / "backup"
    job.parent.mkdir()
    job.write_text(f'#!/bin/sh -e\nprintf "%200000d" 7\necho end >>{runs}\nexit {result}\n')
    job.chmod(0o755)
    path = {"PATH": f"{job.parent}:{environment.pop('PATH', os.environ['PATH'])}"}
    done = sh("set -e\n" + output_lines(place, service), job, **environment, **path)
    assert done.returncode == int(result), done.stderr
    assert runs.read_text() == "end\n"
    assert rows(service, TAG)[-1][:2] == ("success" if result == "0" else "failure", int(result))
    assert os.stat("/dev/null").st_rdev == null.st_rdev


@pytest.mark.parametrize("place", ["docs/heartbeats.md", "the monitor's page"])
def test_a_job_runs_when_the_service_is_away(service: Service, job: Path, place: str) -> None:
    lines = output_lines(place, service).replace(service.url, f"http://127.0.0.1:{free_port()}")
    done = sh("set -e\n" + lines.replace("--retry 5", "--retry 0"), job, RESULT="7", TMPDIR=str(job.parent))
    assert done.returncode == 7, done.stderr
    assert [file.name for file in job.parent.iterdir()] == ["backup"]


def test_an_output_is_sent_again_after_a_restart(start: Starter, job: Path) -> None:
    need_tool("curl")
    service = start(monitors(TAG))
    lines = output_lines("the monitor's page", service)
    assert service.stop() == 0
    lines = "\n".join(line for line in lines.splitlines() if not line.endswith("/start || true"))
    refused = job.parent / "refused"
    with refused.open("w") as said:
        process = subprocess.Popen(
            ["/bin/sh", "-c", lines.replace("curl -fsS", "curl -fsS -v")],
            stdout=said,
            stderr=said,
            env={**os.environ, "PATH": f"{job.parent}:{os.environ['PATH']}", "RESULT": "7"},
        )
    eventually(lambda: "refused" in refused.read_text())
    service.start_again()
    assert process.wait(60) == 7, refused.read_text()
    [(kind, exit_code, _, output)] = rows(service, TAG)
    assert (kind, exit_code, output) == ("failure", 7, "42 files\n")


def shown_files() -> list[Path]:
    """Every file whose lines people may paste."""
    kinds = ("py", "html", "sh", "yml", "yaml", "md", "service", "timer")
    folders = ("docs", "exporter", "examples", "deploy", "alertmanager")
    files = [file for kind in kinds for folder in folders for file in (ROOT / folder).rglob(f"*.{kind}")]
    return [*ROOT.glob("*.md"), *files]


COMMAND_LINE_OUTPUT = re.compile(  # a backtick ends code in Markdown too: there only curl's options count
    r"""(?:--data(?:-binary|-raw|-ascii|-urlencode)?|--json|\s-d)(?:\s+|=)?["']?(?:\w+=)?(?:\$|&#36;)"""
    r"""|\scurl\s.*(?:--data[\w-]*|--json|\s-d)(?:\s+|=)["']?(?:\w+=)?`"""
)


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ('curl --data-binary "$output" $url', True),
        ("curl --data-binary $output $url", True),
        ('curl -d "$(tail log)" $url', True),
        ('curl -d"${output}" $url', True),
        ("    curl --data-raw=`job` $url", True),
        ('curl --data-urlencode "body=$output" $url', True),
        ('curl --data-binary @- "$url/$code"', False),
        ("curl -d '{\"paused\": true}' $url", False),
    ],
)
def test_output_on_a_command_line_is_recognized(line: str, bad: bool) -> None:
    assert bool(COMMAND_LINE_OUTPUT.search(line)) is bad


def test_no_shown_line_puts_output_on_a_command_line() -> None:
    """Linux refuses an argument beyond 128 kB, and curl reads one that begins with @ as a file's name."""
    files = shown_files()
    assert {ROOT / "docs/heartbeats.md", ROOT / "exporter/web/pages/templates/monitor.html"} <= set(files)
    lines = [
        f"{file}: {line}" for file in files for line in file.read_text().splitlines() if "CHANGELOG" not in file.name
    ]
    assert [line for line in lines if COMMAND_LINE_OUTPUT.search(line)] == []


def test_without_its_header_the_bearer_form_is_no_heartbeat(service: Service) -> None:
    before = kinds(service)
    assert curl(f"{service.url}/ext/heartbeat/{TAG}").status == 404
    assert kinds(service) == before


def script(document: str, language: str, service: Service, folder: Path) -> list[str]:
    """The command that runs this document's example."""
    [example] = blocks(document, language)
    file = folder / ("heartbeat.mjs" if language == "js" else "heartbeat.py")
    file.write_text(pasted(example, service))
    return [need_tool("node") if language == "js" else sys.executable, str(file)]


@pytest.mark.parametrize("language", ["python", "js"])
@pytest.mark.parametrize("document", ["README.md", "docs/heartbeats.md"])
def test_languages(service: Service, tmp_path: Path, document: str, language: str) -> None:
    command = script(document, language, service, tmp_path)
    before = kinds(service)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert kinds(service) == [*before, ("success", None)]


@pytest.mark.parametrize("name", ["none", "large", "a file's name", "an option"])
@pytest.mark.parametrize("language", ["python", "js"])
def test_languages_send_output(service: Service, tmp_path: Path, language: str, name: str) -> None:
    command = script("docs/heartbeats.md", language, service, tmp_path)
    output, file = OUTPUTS[name], Path(command[1])
    argument = repr(output) if language == "python" else json.dumps(output.decode())
    text = file.read_text()
    assert text.count(f'{SECRET}")') == 1
    file.write_text(text.replace(f'{SECRET}")', f'{SECRET}/0", {argument})'))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    kind, code, _, kept = rows(service, TAG)[-1]
    assert (kind, code) == ("success", 0)
    assert kept.endswith(output[-9_000:].decode()) if name == "large" else kept == output.decode()


@pytest.mark.parametrize("name", OUTPUTS)
def test_wget_sends_a_file(service: Service, tmp_path: Path, name: str) -> None:
    need_tool("wget")
    [example] = [each for each in blocks("docs/heartbeats.md", "sh") if each.startswith("wget ")]
    file = tmp_path / "output"
    file.write_bytes(OUTPUTS[name])
    command = pasted(example, service).replace(f"{SECRET}", f"{SECRET}/0 --post-file {file}")
    done = sh(command, tmp_path / "job")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    kind, code, _, kept = rows(service, TAG)[-1]
    assert (kind, code) == ("success", 0)
    if name not in ("large", "binary"):
        assert kept == OUTPUTS[name].decode()


@pytest.mark.parametrize("language", ["python", "js"])
def test_a_wrong_secret_is_told_and_not_tried_again(service: Service, tmp_path: Path, language: str) -> None:
    command = script("docs/heartbeats.md", language, service, tmp_path)
    file = Path(command[1])
    file.write_text(file.read_text().replace(SECRET, "wrong"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("heartbeat: ") == 1
    assert "404" in done.stdout + done.stderr


def test_no_answer_fails_a_python_job(service: Service, tmp_path: Path) -> None:
    """Not even one that is no HTTP."""
    command = script("docs/heartbeats.md", "python", service, tmp_path)
    file = Path(command[1])
    text = file.read_text().replace("time.sleep", "bool").replace("5)", "1)")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=say_nonsense, args=(server,))
        thread.start()
        for url in (f"http://127.0.0.1:{server.getsockname()[1]}/", "nonsense"):
            file.write_text(re.sub(r'heartbeat\("http.*"\)', f'heartbeat("{url}")', text))
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("heartbeat: ")
        thread.join(20)


def say_nonsense(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(10_000)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n")


@pytest.mark.parametrize("sender", ["curl", "python", "js"])
def test_a_heartbeat_outlives_a_restart(start: Starter, tmp_path: Path, sender: str) -> None:
    """Sent while nobody listens, and there once somebody does."""
    service = start(monitors(TAG))
    assert service.stop() == 0
    if sender == "curl":
        example = next(each for each in blocks("README.md", "sh") if each.startswith("curl "))
        command = ["/bin/sh", "-c", pasted(example, service)]
    else:
        command = script("docs/heartbeats.md", sender, service, tmp_path)
    refused = tmp_path / "refused"
    with refused.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    if sender != "curl":  # which says nothing before its last try
        eventually(lambda: "heartbeat: " in refused.read_text())
    service.start_again()
    assert process.wait(60) == 0, refused.read_text()
    assert kinds(service) == [("success", None)]


def test_every_curl_line_retries_a_refused_connection() -> None:
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    kinds = ("py", "html", "sh", "yml", "md")
    files += [file for kind in kinds for part in ("exporter", "examples") for file in (ROOT / part).rglob(f"*.{kind}")]
    lines = [line for file in files for line in file.read_text().splitlines() if "curl -fsS" in line]
    assert len(lines) > 15
    for line in lines:
        assert "curl -fsS -m 10 --retry 5 --retry-connrefused " in line


@pytest.mark.parametrize(
    ("document", "number"), [("README.md", 0), ("docs/heartbeats.md", 0), ("docs/operations.md", 0)]
)
def test_systemd_takes_the_units(tmp_path: Path, job: Path, document: str, number: int) -> None:
    unit = tmp_path / "example.service"
    unit.write_text(EXECUTABLES.sub(str(job), blocks(document, "ini")[number]))
    assert run_tool("systemd-analyze", "verify", "--man=no", str(unit)) == ""


@pytest.mark.parametrize(
    ("status", "told"), [("0", ("success", 0)), ("3", ("failure", 3)), ("KILL", ("failure", None))]
)
def test_systemd_tells_how_the_job_ended(service: Service, job: Path, status: str, told: tuple[str, int]) -> None:
    need_tool("curl")
    [unit] = blocks("docs/heartbeats.md", "ini")
    command = re.search(r"^ExecStopPost=-/bin/sh -c '(.*)'$", unit, re.M)
    assert command is not None
    before = kinds(service)
    done = sh(command[1], job, URL=f"{service.url}/ext/heartbeat/{TAG}:{SECRET}", EXIT_STATUS=status)
    assert done.returncode == 0, done.stderr
    assert kinds(service) == [*before, told]


def test_nginx_in_front(start: Starter, tmp_path: Path) -> None:
    """Large bodies pass, and no secret reaches its logs, not even when nobody answers behind it."""
    service = start(monitors(TAG) + "web: {trusted_proxies: [127.0.0.1]}\n")
    nginx, port = need_tool("nginx"), free_port()
    [example] = blocks("docs/operations.md", "nginx")
    logs = tmp_path / "nginx"
    logs.mkdir()
    example = example.replace("http://127.0.0.1:10105", service.url).replace("/var/log/nginx", str(logs))
    temporary = "".join(
        f"{kind}_temp_path {logs}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root root;\n" if os.geteuid() == 0 else ""  # else its workers may not enter our folder
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"{user}daemon off;\npid {logs}/pid;\nerror_log {logs}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log {logs}/access.log;\n{temporary}server {{\nlisten 127.0.0.1:{port};\n{example}}}\n}}\n"
    )
    process = subprocess.Popen([nginx, "-e", str(logs / "error.log"), "-c", str(configuration)])
    try:
        site = f"http://127.0.0.1:{port}"
        eventually(lambda: curl(f"{site}/-/ready").status == 200)
        assert TAG in curl(f"{site}/").body
        heartbeat = f"{site}/ext/heartbeat/{TAG}:{SECRET}"
        assert curl(heartbeat).body == '{"status":"OK"}'
        assert curl("--data-binary", "@-", heartbeat, input=b"x" * 3_000_000).status == 200
        assert curl("-H", "X-Forwarded-For: 192.0.2.7", f"{site}/ext/heartbeat/{TAG}:wrong-secret").status == 404
        eventually(lambda: "192.0.2.7" in service.output())
        service.stop()
        assert curl(heartbeat).status == 502
    finally:
        process.terminate()
        process.wait(20)
    written = "".join(file.read_text() for file in logs.glob("*.log"))
    assert "/-/ready" in written
    assert SECRET not in written
