"""`${ENV}` and `_file`: how values, above all secrets, come into a configuration from outside of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.config.files import read_bounded
from exporter.config.yaml.document import YamlDocument
from exporter.config.yaml.lines import Path_
from exporter.core.errors import Problem

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|\{([^}]*)\}?)")
MAX_SECRET = 64 * 1024


def substitute_environment(document: YamlDocument, environ: Mapping[str, str]) -> list[Problem]:
    """Puts the environment's values in; `$$` is a dollar sign.

    The document remembers what stood in the file wherever something was put in: messages quote that instead.
    """
    originals = document.originals
    problems: list[Problem] = []

    def replaced(text: str, path: Path_) -> str:
        def one(match: re.Match[str]) -> str:
            name, malformed = match.groups()
            if malformed is not None:
                problems.append(document.problem(path, "write ${NAME} for a variable and $$ for a dollar sign"))
            elif name is not None and name not in environ:
                problems.append(document.problem(path, f"the environment variable {name} is not set"))
            elif name is not None:
                return environ[name]
            return "$" if name is None else ""

        new = _VARIABLE.sub(one, text)
        if new != text:
            originals[path] = text
        return new

    def walk(values: Any, path: Path_) -> None:
        """In place: of a large file hardly any text has a variable in it."""
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            if type(value) is str:
                if "$" in value:
                    values[key] = replaced(value, (*path, key))
            elif isinstance(value, dict | list):
                walk(value, (*path, key))

    walk(document.values, ())
    return problems


def read_files(document: YamlDocument, values: Any, path: Path_, names: tuple[str, ...]) -> list[Problem]:
    """Replaces `name_file` by `name` with the file's content, without its last line's end."""
    problems: list[Problem] = []
    if not isinstance(values, dict):
        return problems
    for name in names:
        twin = f"{name}_file"
        if twin not in values:
            continue
        file, here = values.pop(twin), (*path, twin)
        if name in values:
            given = document.written.get((*path, name), (name,))[-1]
            problems.append(document.problem(here, f"give {given} or {twin}, not both"))
            continue
        values[name] = None
        document.written[(*path, name)] = here
        if not isinstance(file, str) or not file or "\0" in file:
            problems.append(document.problem(here, "must be the path of a file"))
            continue
        content, trouble = secret_in(Path(document.file).parent / file)
        if trouble is not None:
            shown = document.originals.get(here, file)
            shown = shown if len(shown) <= 200 and shown.isprintable() else ascii(shown[:200])
            problems.append(document.problem(here, f"{shown}: {trouble}"))
            continue
        values[name] = content
    return problems


def secret_in(file: Path, *, pipe_patience: float | None = None) -> tuple[str, str | None]:
    """What `file` holds, without its last line's end; and if it cannot be a secret, why.

    A file that the configuration names is read again at each reload, so a pipe (`pipe_patience`: the seconds it has) is
    only for a command that reads it once.
    """
    try:
        raw = read_bounded(file, MAX_SECRET, pipe_patience=pipe_patience)
        if len(raw) > MAX_SECRET:
            return "", "is too large for a secret: at most 64 kB are allowed"
        text = raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        return "", f"cannot be read: {(error.strerror or 'error').lower()}"
    except UnicodeDecodeError:
        return "", "is not UTF-8"
    except ValueError:
        return "", "is not a valid file name"
    return (text, None) if text else ("", "is empty")
