"""No file that ships names a host that is not ours to name: dead links, and names that strangers may own."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("exporter", "docs", "alertmanager", "dashboards", "deploy", "examples", "bench", ".ci")
FILES = (*ROOT.glob("*.md"), *(ROOT / name for name in ("setup.cfg", "pyproject.toml", "Makefile", "LICENSE")))
BINARY = (".png", ".pyc")
UPSTREAM = {
    # what notifiers post to
    *("api.atlassian.com", "api.opsgenie.com", "api.eu.opsgenie.com", "api.telegram.org", "discord.com", "ntfy.sh"),
    *("events.pagerduty.com", "events.eu.pagerduty.com", "hooks.slack.com"),
    # names of formats, which nobody calls
    *("adaptivecards.io", "json-schema.org", "www.w3.org"),
    # documentation of what we build upon
    *("jinja.palletsprojects.com", "prometheus.io", "semver.org", "www.pgbouncer.org", "www.postgresql.org"),
    *("www.rfc-editor.org", "github.com"),
}
"""Hosts that exist and serve what the text says. A new one is looked up before it is added."""
REPOSITORIES = {"caronc/apprise", "grafana/dashboard-linter"}
"""On github.com: those of others. The project has no public address of its own."""
RESERVED = ("example", "invalid", "test", "localhost", "example.com", "example.net", "example.org")
"""Of RFC 2606 and RFC 6761: no stranger can own a name below them."""
URL = re.compile(r"https?://([^\s/\"'`<>()\\,;|?#]+)")
CODE_HOST = re.compile(
    r"\b((?:github|gitlab|codeberg|bitbucket)\.(?:com|org)|(?:ghcr|quay|docker)\.io)[/:]([\w.-]+/[\w.-]+)"
)
MAIL = re.compile(r"[\w.+-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z][A-Za-z0-9-]+)")


def shipped() -> Iterator[Path]:
    yield from FILES
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix not in BINARY:
                yield file


def strangers(text: str) -> set[str]:
    """The hosts and repositories in `text` that are neither reserved, local, nor upstream."""
    mails = {host for host in MAIL.findall(text) if not host.endswith(".service")}  # instances of systemd's templates
    hosts = {host_of(authority) for authority in URL.findall(text)} | mails
    repositories = {f"{host}/{name.removesuffix('.git')}" for host, name in CODE_HOST.findall(text)}
    return {host for host in hosts if not is_harmless(host)} | {
        repository for repository in repositories if repository.removeprefix("github.com/") not in REPOSITORIES
    }


def host_of(authority: str) -> str:
    _, _, address = authority.rpartition("@")
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0].rstrip(".…]").lower()


def is_harmless(host: str) -> bool:
    # A name without a dot is of a container, or stands for one; so does what a program fills in.
    if host.startswith("{") or ("." not in host and ":" not in host):
        return True
    if host in UPSTREAM or any(host == name or host.endswith(f".{name}") for name in RESERVED):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.mark.parametrize("file", sorted(shipped()), ids=lambda file: str(file.relative_to(ROOT)))
def test_it_names_no_strangers(file: Path) -> None:
    assert strangers(file.read_text()) == set()


@pytest.mark.parametrize(
    "text",
    [
        "runbook_url: https://github.com/heartbeat-exporter/heartbeat-exporter/blob/main/docs/runbooks/Watchdog.md",
        "image: ghcr.io/heartbeat-exporter/heartbeat-exporter:0.1.0",
        "Documentation=https://heartbeat-exporter.readthedocs.io/",
        "url = https://pypi.org/project/heartbeat-exporter",
        "git clone git@github.com:heartbeat-exporter/heartbeat-exporter.git",
        "see [it](http://heartbeats.company.com:8080/docs)",
        "http://8.8.8.8/x",
        "http://me:secret@[2001:4860:4860::8888]:80/",
        "https://example.org.evil.com/",
        "to: ops@company.com",
    ],
)
def test_a_stranger_is_noticed(text: str) -> None:
    assert strangers(text) != set()


def test_nothing_in_the_list_is_left_over() -> None:
    """An address that no file names any more would let a mistake through."""
    text = "\n".join(file.read_text() for file in shipped())
    hosts = {host_of(authority) for authority in URL.findall(text)}
    assert hosts >= UPSTREAM
    for repository in REPOSITORIES:
        assert f"github.com/{repository}" in text


def test_the_unit_links_to_the_documents_of_the_service_that_it_starts() -> None:
    unit = (ROOT / "deploy" / "systemd" / "heartbeat-exporter.service").read_text()
    assert re.findall(r"^Documentation=(.*)$", unit, re.MULTILINE) == ["http://127.0.0.1:10105/docs/"]
