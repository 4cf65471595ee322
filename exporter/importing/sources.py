"""Where importers read: a file, or another system's API."""

import json
from pathlib import Path
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from exporter.importing.tables import FixtureTables, ForeignTables, open_tables
from exporter.importing.takeover import ImportFailed

_MAX_ANSWER = 256 * 1024 * 1024
_TIMEOUT = urllib3.Timeout(connect=10, read=60)


def fetch(url: str, header: str, key: str) -> Any:
    """JSON from an API, which a key in `header` opens. Redirects are not followed: they would take the key along."""
    try:
        answer = urllib3.PoolManager(retries=False).request(
            "GET", url, headers={header: key, "Accept": "application/json"}, timeout=_TIMEOUT, preload_content=False
        )
        body = answer.read(_MAX_ANSWER + 1)
    except (HTTPError, ValueError) as error:
        raise ImportFailed(f"{url}: {type(error).__name__}, {error}".replace(key, "…")) from None
    if answer.status in (401, 403):
        raise ImportFailed(f"{url}: the key is not accepted ({answer.status})")
    if answer.status != 200:
        where = f" to {answer.headers['Location']}; give that URL instead" if "Location" in answer.headers else ""
        raise ImportFailed(f"{url}: answers {answer.status}{where}")
    if len(body) > _MAX_ANSWER:
        raise ImportFailed(f"{url}: answers with more than {_MAX_ANSWER // 1024**2} MiB")
    return _parsed(body, url)


def read(path: Path) -> Any | ForeignTables:
    """A file's JSON, or its tables: SQLite, a plain dump of PostgreSQL, or a list that Django's `dumpdata` wrote."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise ImportFailed(f"{path}: cannot be read ({error.strerror})") from None
    if start[:1] not in (b"{", b"["):
        return open_tables(path)
    content = _parsed(path.read_bytes(), str(path))
    return FixtureTables(content) if isinstance(content, list) else content


def read_key(path: Path) -> str:
    """The first line of a file."""
    try:
        key = path.read_text(encoding="utf-8").strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(f"{path}: cannot be read ({error})") from None
    if not key or not key.isascii() or not key.isprintable():
        raise ImportFailed(f"{path}: holds no key")
    return key


def _parsed(content: bytes, place: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ImportFailed(f"{place}: is no JSON that can be read; is it cut off?") from None
