"""Templates and the files they refer to, which are named by their contents so that browsers may cache them forever."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exporter.core.status import Status
from exporter.presentation.statuses import IMPACTS, LABELS, STATES, URGENCY

HERE = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
_HASHED = re.compile(r"([a-z-]+)\.([0-9a-f]{12})(\.[a-z]+)")


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file."""

    name: str
    content: bytes
    content_type: str
    fingerprint: str

    @property
    def url(self) -> str:
        stem, _, suffix = self.name.rpartition(".")
        return f"/static/{stem}.{self.fingerprint}.{suffix}"


class Assets:
    """All static files, in memory: they are few and small."""

    def __init__(self, folder: Path = HERE / "static") -> None:
        self._by_name: dict[str, Asset] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in _TYPES:
                content = path.read_bytes()
                fingerprint = hashlib.blake2b(content, digest_size=6).hexdigest()
                self._by_name[path.name] = Asset(path.name, content, _TYPES[path.suffix], fingerprint)

    def url(self, name: str) -> str:
        return self._by_name[name].url

    def find(self, hashed_name: str) -> tuple[Asset, bool] | None:
        """The file, and whether it is the very one asked for.

        While replicas of two versions run side by side, a page from one may ask the other for its style: ours, a
        bit different, is better than none, as long as it is not cached.
        """
        match = _HASHED.fullmatch(hashed_name)
        asset = self._by_name.get(f"{match[1]}{match[3]}") if match else None
        return None if asset is None or match is None else (asset, match[2] == asset.fingerprint)


class Pages:
    """The templates."""

    def __init__(
        self,
        assets: Assets,
        version: str,
        notice: Callable[[], str | None] = lambda: None,
        ingest: Callable[[], str] = lambda: "",
    ) -> None:
        """`notice` is a text that every page shows, and `ingest` one that says why heartbeats may not arrive."""
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(
            asset=assets.url,
            version=version,
            notice=notice,
            ingest=ingest,
            labels=LABELS,
            impacts=IMPACTS,
            states=STATES,
            urgency=URGENCY,
            Status=Status,
        )
        self._environment.filters["thousands"] = _thousands

    def render(self, name: str, values: Mapping[str, Any]) -> bytes:
        # A name or an output may hold half of a surrogate pair, which no encoding knows.
        return self._environment.get_template(name).render(values).encode("utf-8", "replace")

    def error(self, code: int, title: str, message: str) -> bytes:
        return self.render("error.html", {"code": code, "title": title, "message": message})


def _thousands(number: int) -> str:
    return f"{number:,}"
