"""Passwords on the command line: out of the list of processes, and warned of."""

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli._passwords import passwords_in
from tests.cli.test_main import run

SHOW = """
import click, pathlib
from exporter.cli._console import storage_options

@click.command()
@storage_options
def show(config_file, storage_url):
    print(storage_url)
    print(pathlib.Path("/proc/self/cmdline").read_bytes().decode())

show()
"""


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("postgresql://anna:SESAME@h/d", ["SESAME"]),
        ("postgresql://anna:SES@AME@h/d", ["SES@AME"]),
        ("postgresql://:SESAME@/d", ["SESAME"]),
        ("postgresql://h/d?user=anna&password=SESAME&sslpassword=OPEN", ["SESAME", "OPEN"]),
        ("postgresql://anna@h:5432/d?passfile=/x", []),
        ("sqlite:////srv/a.db", []),
    ],
)
def test_what_is_a_password(url: str, passwords: list[str]) -> None:
    assert passwords_in(url) == passwords


@pytest.mark.parametrize("form", [["--storage.url", "{}"], ["--storage.url={}"]])
def test_it_is_out_of_the_list_of_processes(form: list[str], tmp_path: Path) -> None:
    url = "postgresql://anna:SESAME@h/d?sslpassword=SESAM"
    command = [sys.executable, "-c", SHOW, *(word.format(url) for word in form)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    given, listed = done.stdout.split("\n", 1)
    assert given == url, "the program itself still has it"
    assert "anna:xxxxxx@h/d?sslpassword=xxxxx" in listed
    assert "SESAM" not in listed
    assert "--storage.url contains a password" in done.stderr
    assert "PGPASSFILE" in done.stderr
    assert "SESAM" not in done.stderr


def test_no_word_where_there_is_none(tmp_path: Path) -> None:
    assert "password" not in run("monitor", "list", "--storage.url", f"sqlite:///{tmp_path}/x.db").output
