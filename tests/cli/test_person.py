"""Who did it: the person behind sudo, not the service's account."""

import pytest

from exporter.cli.alerts._person import NAMELESS, person


def no_terminal() -> str:
    raise OSError(6, "No such device or address")


def nameless() -> str:
    raise KeyError("getpwuid(): uid not found: 10105")


@pytest.mark.parametrize(
    ("environ", "login", "name"),
    [
        ({"SUDO_USER": "anna"}, "root", "anna"),
        ({"SUDO_USER": "anna", "USER": "heartbeat"}, None, "anna"),
        ({"SUDO_USER": "root"}, "anna", "anna"),
        ({"SUDO_USER": "root"}, None, "root"),
        ({"DOAS_USER": "anna"}, None, "anna"),
        ({"PKEXEC_UID": "0"}, None, "root"),
        ({"PKEXEC_UID": "99999999999999999999"}, None, "heartbeat"),
        ({"SUDO_USER": " "}, None, "heartbeat"),
        ({}, "anna", "anna"),
        ({}, None, "heartbeat"),
    ],
)
def test_who(environ: dict[str, str], login: str | None, name: str) -> None:
    assert person(environ, (lambda: login) if login else no_terminal, lambda: "heartbeat") == name


def test_a_user_without_a_name() -> None:
    assert person({}, no_terminal, nameless) == NAMELESS
