"""What is under deploy/ fits together and fits the program, as far as that can be told without an engine to run it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from exporter.alerting.notifiers import OptionModels
from exporter.cli import main
from exporter.config.load import load_config
from tests.tools import need_tool, run_tool

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = (DEPLOY / "kubernetes/heartbeat-exporter.yaml").read_text()
MANIFESTS: list[dict[str, Any]] = list(YAML(typ="safe").load_all(KUBERNETES))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
UNIT = DEPLOY / "systemd" / "heartbeat-exporter.service"


def manifest(kind: str) -> dict[str, Any]:
    (found,) = (one for one in MANIFESTS if one["kind"] == kind)
    return found


def options_of_serve(arguments: list[str]) -> None:
    """Every option is one that the program knows."""
    assert arguments[0] == "serve"
    known = set(re.findall(r"--[a-z.-]+", CliRunner().invoke(main, ["serve", "--help"]).output))
    assert {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} <= known


# ── compose ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_services_mount_what_is_there_and_listen_here_only(name: str) -> None:
    service = COMPOSE["services"][name]
    for mount in service.get("volumes", ()):
        source = mount.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    if "image" in service:
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"])
    else:
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def test_the_services_of_compose_know_each_other() -> None:
    for file in (DEPLOY / "compose").iterdir():
        for host, port in re.findall(r"\b(exporter|prometheus|alertmanager|grafana):(\d+)", file.read_text()):
            assert any(one.endswith(f":{port}") for one in COMPOSE["services"][host]["ports"]), file.name


def test_their_configurations_are_good() -> None:
    run_tool("promtool", "check", "config", "--syntax-only", str(DEPLOY / "compose/prometheus.yml"))
    run_tool("amtool", "check-config", str(DEPLOY / "compose/alertmanager.yml"))
    loaded = load_config(DEPLOY / "compose/heartbeats.yml", {}, OptionModels())
    secrets = {one.monitor.tag: one.secret.reveal() for one in loaded.settings.monitors}
    alertmanager = (DEPLOY / "compose/alertmanager.yml").read_text()
    assert "/api/v1/alertmanager/watchdog" in alertmanager
    assert f"credentials: {secrets['watchdog']}" in alertmanager


def test_grafana_gets_every_dashboard_where_its_provisioning_looks() -> None:
    provider = YAML(typ="safe").load((ROOT / "dashboards/provisioning/dashboards/heartbeat-exporter.yml").read_text())
    folder = provider["providers"][0]["options"]["path"]
    mounted = {mount.split(":")[1] for mount in COMPOSE["services"]["grafana"]["volumes"]}
    assert {f"{folder}/{file.name}" for file in (ROOT / "dashboards").glob("*.json")} <= mounted


# ── the image ────────────────────────────────────────────────────────────────────────────────────────────────


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.*)$", DOCKERFILE, re.MULTILINE)


def test_the_image_is_small_and_unprivileged_and_says_how_it_is() -> None:
    first, last = instructions("FROM")
    assert first.startswith(last)
    assert re.fullmatch(r"python:3\.\d+-slim", last)
    assert instructions("USER") == ["10105"]
    assert DOCKERFILE.index("USER 10105") < DOCKERFILE.index("ENTRYPOINT")
    assert "/-/healthy" in DOCKERFILE.partition("HEALTHCHECK")[2]
    assert instructions("ENTRYPOINT") == ['["heartbeat-exporter"]']
    command = YAML(typ="safe").load(instructions("CMD")[-1])
    options_of_serve(command)
    storage = command[command.index("--storage.url") + 1]
    assert storage.removeprefix("sqlite:///").startswith(instructions("VOLUME")[0])


def test_the_image_leaves_out_what_it_does_not_need() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv*", "tests", ".run"} <= set(ignored)
    for needed in ("exporter", "dashboards", "alertmanager", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        assert needed not in ignored


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_systemd_takes_the_unit_and_finds_it_well_locked_up(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # The program and its user are not on this machine.
    here = UNIT.read_text().replace("/opt/heartbeat/bin/heartbeat-exporter", "/bin/true")
    unit.write_text(here.replace("User=heartbeat\n", "User=root\n"))
    assert run_tool("systemd-analyze", "verify", "--man=no", str(unit)) == ""
    command = [need_tool("systemd-analyze"), "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_unit_in_the_documents_is_the_beginning_of_the_file() -> None:
    (shown,) = re.findall(r"```ini\n(# /etc/systemd.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    lines = [line for line in shown.splitlines() if line]
    assert set(lines) <= set(UNIT.read_text().splitlines())
    options_of_serve(re.findall(r"ExecStart=\S+ (.*)", UNIT.read_text())[0].split())


# ── kubernetes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_manifests_fit_together() -> None:
    pod = manifest("Deployment")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    assert (
        manifest("Deployment")["spec"]["selector"]["matchLabels"] == labels == manifest("Service")["spec"]["selector"]
    )
    assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in pod["spec"]["volumes"]}
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert manifest("Service")["spec"]["ports"][0]["targetPort"] in named
    for probe, path in (("readinessProbe", "/-/ready"), ("livenessProbe", "/-/healthy")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}
    options_of_serve(container["args"])
    assert "--web.listen-address=:10105" in container["args"]
    assert named["http"] == 10105


def test_one_replica_of_sqlite_that_lets_go_first_and_may_do_nothing() -> None:
    spec = manifest("Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    pod, (container,) = spec["template"]["spec"], spec["template"]["spec"]["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert pod["terminationGracePeriodSeconds"] >= 40


def test_the_configuration_in_the_manifest_is_good(tmp_path: Path) -> None:
    text = manifest("ConfigMap")["data"]["heartbeats.yml"]
    (tmp_path / "nightly-backup").write_text("a-secret\n")
    (tmp_path / "heartbeats.yml").write_text(text.replace("/run/secrets/heartbeat", str(tmp_path)))
    (one,) = load_config(tmp_path / "heartbeats.yml", {}).settings.monitors
    mounts = manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"/run/secrets/heartbeat", "/etc/heartbeat"} <= {mount["mountPath"] for mount in mounts}
    assert one.monitor.tag == "nightly-backup"
