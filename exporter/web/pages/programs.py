"""The programs for the machines of jobs, which hosts without the package fetch from `/static/`."""

from pathlib import Path

import exporter.run

_FOLDER = Path(exporter.run.__file__).parent
_PROGRAMS = {
    "heartbeat-run": ("heartbeat_run.py", "text/x-python; charset=utf-8"),
    "heartbeat.sh": ("heartbeat.sh", "text/x-shellscript; charset=utf-8"),
}


def is_program(name: str) -> bool:
    """Whether `/static/{name}` is one of them."""
    return name in _PROGRAMS


def read_program(name: str) -> tuple[bytes, str]:
    """Returns its text and content type. Reads the file: they are asked for too rarely to be kept in memory."""
    file, content_type = _PROGRAMS[name]
    return (_FOLDER / file).read_bytes(), content_type
