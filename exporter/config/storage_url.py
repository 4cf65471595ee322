"""The URL of a database: its valid forms, and how a relative path is resolved."""

import re
from pathlib import Path

from exporter.core.errors import InvalidValue

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_ALIASES = {"postgres": POSTGRESQL, "pgsql": POSTGRESQL, "sqlite3": SQLITE}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_PARAMETERS = re.compile(r"\?\w+=")
_FILE = f"{SQLITE}:///"
_SQLITE_FORMS = "write sqlite:///relative/path.db with three slashes or sqlite:////absolute/path.db with four slashes"
_POSTGRESQL_FORM = "write postgresql://user@host/database"


def canonical(url: str) -> str:
    """Returns `url` without surrounding blanks, with the canonical scheme of its engine.

    Raises InvalidValue, which names the valid form and quotes only the scheme of the URL, which may contain a password.
    """
    text = url.strip()
    match = _SCHEME.match(text)
    if match is None:
        if "://" in text or not text or "@" in text:
            raise InvalidValue(f"this is not a URL: {_SQLITE_FORMS}, or {_POSTGRESQL_FORM}")
        raise InvalidValue(f"this is a path, not a URL: {_SQLITE_FORMS}")
    given = match[1].lower()
    scheme, plus, driver = given.partition("+")
    scheme = _ALIASES.get(scheme, scheme)
    if scheme not in (SQLITE, POSTGRESQL):
        raise InvalidValue(
            f"unknown database engine {given}: this version supports {POSTGRESQL} and {SQLITE}; "
            f"{_SQLITE_FORMS}, or {_POSTGRESQL_FORM}"
        )
    if plus:
        raise InvalidValue(f"write {scheme}:// without +{driver}: each engine has only one driver")
    rest = text[match.end() :]
    if scheme == SQLITE:
        _check_file(rest)
    elif not rest.startswith("//"):
        raise InvalidValue(f"two slashes are missing: {_POSTGRESQL_FORM}")
    return f"{scheme}:{rest}"


def based_on(url: str, folder: Path) -> str:
    """Returns `url`; a relative path of an SQLite file becomes absolute, starting at `folder`."""
    file = sqlite_file(url)
    return url if file is None or file.is_absolute() else f"{_FILE}{(folder / file).absolute()}"


def sqlite_file(url: str) -> Path | None:
    """Returns the file of a canonical SQLite URL, or None for another engine."""
    return Path(url.removeprefix(_FILE)) if url.startswith(_FILE) else None


def _check_file(rest: str) -> None:
    path = rest.removeprefix("///")
    if path == rest or not path:
        raise InvalidValue(f"{_SQLITE_FORMS}")
    if path == ":memory:":
        raise InvalidValue(f"a database in memory is not supported: write {_FILE}heartbeats.db")
    if _PARAMETERS.search(path) or "\0" in path:
        raise InvalidValue(f"parameters are not supported for SQLite: {_SQLITE_FORMS}")
    if path.endswith("/"):
        raise InvalidValue(f"this is a folder, not a file: {_SQLITE_FORMS}")
