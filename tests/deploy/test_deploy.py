"""What is under deploy/ fits together and fits the program, as far as that can be told without an engine to run it."""

import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from exporter.cli.main import main
from exporter.config.load import load_config
from exporter.notify.notifiers import OptionModels
from tests.support import dockerfile
from tests.support.tools import need_tool, run_tool

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = (DEPLOY / "kubernetes/heartbeat-exporter.yaml").read_text()
MANIFESTS: list[dict[str, Any]] = list(YAML(typ="safe").load_all(KUBERNETES))
BUILD, IMAGE = dockerfile.read(DEPLOY / "Dockerfile")
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
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


def test_their_links_lead_to_ports_that_are_open() -> None:
    for name in ("prometheus", "alertmanager"):
        (url,) = [word for word in COMPOSE["services"][name]["command"] if "external-url" in word]
        here, _, inside = COMPOSE["services"][name]["ports"][0].rpartition(":")
        assert url == f"--web.external-url=http://{here}"
        assert here.endswith(f":{inside}")
    loaded = load_config(DEPLOY / "compose/heartbeats.yml", {}, OptionModels())
    assert (
        loaded.settings.web.external_url == f"http://{COMPOSE['services']['exporter']['ports'][0].rpartition(':')[0]}"
    )


def test_what_runs_in_a_container_reads_only_what_is_mounted_there() -> None:
    for name in ("prometheus", "alertmanager"):
        mounted = {mount.split(":")[1] for mount in COMPOSE["services"][name]["volumes"]}
        words = " ".join(COMPOSE["services"][name]["command"])
        words += (DEPLOY / f"compose/{name}.yml").read_text()
        for path in re.findall(r"(?<![:/\w])/(?:etc/)?(?:prometheus|alertmanager)[\w./-]*", words):
            assert path in mounted, path
    mounted = {mount.split(":")[1] for mount in COMPOSE["services"]["exporter"]["volumes"]}
    (command,), (volume,) = of_image("CMD"), of_image("VOLUME")
    assert mounted == {command.words[command.words.index("--config.file") + 1], volume.rest}


def test_grafanas_data_source_is_ours_at_another_address() -> None:
    ours = YAML(typ="safe").load((ROOT / "dashboards/provisioning/datasources/heartbeat-prometheus.yml").read_text())
    its = YAML(typ="safe").load((DEPLOY / "compose/grafana-prometheus.yml").read_text())
    ours["datasources"][0]["url"] = "http://prometheus:9090"
    assert its == ours


def test_the_document_tells_where_each_service_is_and_keeps_its_data() -> None:
    document = (ROOT / "docs/deploy.md").read_text()
    for service in COMPOSE["services"].values():
        here = service["ports"][0].rpartition(":")[0]
        (volume,) = {mount.split(":")[0] for mount in service["volumes"]} & COMPOSE["volumes"].keys()
        assert re.search(rf"^\| \w+ \| <http://{re.escape(here)}> \| `{volume}` \|$", document, re.MULTILINE)


def test_grafana_gets_every_dashboard_where_its_provisioning_looks() -> None:
    provider = YAML(typ="safe").load((ROOT / "dashboards/provisioning/dashboards/heartbeat-exporter.yml").read_text())
    folder = provider["providers"][0]["options"]["path"]
    mounted = {mount.split(":")[1] for mount in COMPOSE["services"]["grafana"]["volumes"]}
    assert {f"{folder}/{file.name}" for file in (ROOT / "dashboards").glob("*.json")} <= mounted


# ── the image ────────────────────────────────────────────────────────────────────────────────────────────────


def of_image(name: str) -> list[dockerfile.Instruction]:
    return dockerfile.named(IMAGE, name)


def test_the_image_is_small_and_unprivileged_and_says_how_it_is() -> None:
    (first,), (last,) = dockerfile.named(BUILD, "FROM"), of_image("FROM")
    assert re.fullmatch(r"python:3\.\d+-slim", last.rest)
    assert first.rest == f"{last.rest} AS build"
    assert dict(SETUP["options"])["python_requires"] == ">=3.11"
    (user,) = of_image("USER")
    assert user.rest == "10105:10105"
    order = [instruction.name for instruction in IMAGE]
    assert order.index("RUN") < order.index("USER") < order.index("ENTRYPOINT")
    made = of_image("RUN")[0].commands
    assert any(command.startswith("groupadd --gid 10105 ") for command in made)
    assert any(command.startswith("useradd --uid 10105 --gid 10105 ") for command in made)
    (check,) = of_image("HEALTHCHECK")
    assert "http://127.0.0.1:10105/-/healthy" in check.rest
    assert [one.rest for one in of_image("EXPOSE")] == ["10105"]


def test_the_image_runs_our_program_on_its_volume() -> None:
    (entry,), (command,), (volume,), (folder,) = map(of_image, ("ENTRYPOINT", "CMD", "VOLUME", "WORKDIR"))
    assert f"{entry.words[0]} = exporter.cli.main:main" in SETUP["options.entry_points"]["console_scripts"]
    options_of_serve(command.words)
    storage = command.words[command.words.index("--storage.url") + 1]
    assert storage.removeprefix("sqlite:///") == f"{volume.rest}/heartbeats.db"
    assert folder.rest == volume.rest, "so that the command line finds the database without being told"
    config = command.words[command.words.index("--config.file") + 1]
    assert any(one.startswith("install ") and one.endswith(f" {config}") for one in of_image("RUN")[0].commands)


def test_nothing_gets_near_the_image_but_what_it_is_built_from() -> None:
    copied = {name for copy in dockerfile.named(BUILD, "COPY") for name in copy.words[:-1]}
    for name in copied:
        assert (ROOT / name).exists(), name
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    (wheels,) = of_image("COPY")
    assert wheels.words == ["--from=build", "/wheels", "/wheels"]


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


def test_the_operator_finds_the_service() -> None:
    file = ROOT / "alertmanager/kubernetes/servicemonitor.yaml"
    monitor = YAML(typ="safe").load(file.read_text())["spec"]
    service = manifest("Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["jobLabel"] in service["metadata"]["labels"]
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= {one["name"] for one in service["spec"]["ports"]}


def test_the_pod_is_the_user_of_the_image_and_of_this_version() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    ids = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert ids == of_image("USER")[0].rest
    assert pod["securityContext"]["fsGroup"] == 10105
    assert pod["containers"][0]["image"] == f"heartbeat-exporter:{SETUP['metadata']['version']}"
    assert f"-t {pod['containers'][0]['image']} " in (ROOT / "docs/deploy.md").read_text()
    claims = {one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one}
    assert claims == {manifest("PersistentVolumeClaim")["metadata"]["name"]}
    maps = {one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one}
    assert maps == {manifest("ConfigMap")["metadata"]["name"]}
    (secret,) = [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one]
    for text in (KUBERNETES, (ROOT / "docs/deploy.md").read_text()):
        assert f"kubectl create secret generic {secret} --from-literal=nightly-backup=" in text


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
