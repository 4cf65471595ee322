"""Where reports go: the URL and the secret, from files, the environment or systemd's credentials."""

from __future__ import annotations

import os

from exporter.run.notices import reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Misconfigured(Exception):
    """URL or secret are missing or cannot be used."""


class Destination:
    """The service's URL and the monitor's secret."""

    def __init__(self, tag: str, config: str | None) -> None:
        """Raises Misconfigured."""
        from urllib.parse import quote, unquote, urlsplit

        url = secret = ""
        for values in self._sources(tag, config):
            url = url or values.get("HEARTBEAT_URL", "").strip()
            if not secret:
                secret = values.get("HEARTBEAT_SECRET", "").strip()
                if not secret and values.get("HEARTBEAT_SECRET_FILE"):
                    secret = self._read(values["HEARTBEAT_SECRET_FILE"]).strip()
        if not url:
            raise Misconfigured("no URL is known: set HEARTBEAT_URL, or see --help for the files")
        base, whole, rest = url.partition("/ext/heartbeat/")
        if whole:  # a ping URL: TAG:SECRET, TAG/SECRET or TAG
            named, _, own = unquote(rest.strip("/")).replace("/", ":", 1).partition(":")
            if named != tag:
                raise Misconfigured("HEARTBEAT_URL is the ping URL of another monitor")
            secret = own or secret
        try:
            parts = urlsplit(base)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            valid = valid and "@" not in parts.netloc and not parts.query and not parts.fragment
        except ValueError:
            valid = False
        if not valid or not base.isascii() or any(ord(character) <= 32 for character in base):
            raise Misconfigured("HEARTBEAT_URL is not a URL like https://heartbeats.example.org")
        if not secret:
            raise Misconfigured("no secret is known: set HEARTBEAT_SECRET, or see --help for the files")
        if any(not 32 < ord(character) < 127 for character in secret):
            raise Misconfigured("the secret has characters that cannot be sent")
        self.url = f"{base.rstrip('/')}/ext/heartbeat/{quote(tag, safe='')}"
        self.host = parts.hostname
        self.secret = secret

    def _sources(self, tag: str, config: str | None) -> Iterator[Mapping[str, str]]:
        named = config or os.environ.get("HEARTBEAT_CONFIG")
        if named:
            yield self._file(named)
        yield os.environ
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials:
            yield {
                variable: self._read(os.path.join(credentials, name))
                for variable, name in (("HEARTBEAT_URL", "heartbeat-url"), ("HEARTBEAT_SECRET", "heartbeat-secret"))
                if os.path.exists(os.path.join(credentials, name))
            }
        names = ("run.env",) if "/" in tag else (f"{tag}.env", "run.env")
        for folder in (os.path.expanduser("~/.config/heartbeat"), "/etc/heartbeat"):
            for path in (os.path.join(folder, name) for name in names):
                if os.path.exists(path):
                    yield self._file(path)

    def _file(self, path: str) -> Mapping[str, str]:
        """Reads lines `NAME=value` as systemd's EnvironmentFile= has them."""
        values = {}
        for line in self._read(path).splitlines():
            line = line.strip()
            if line.startswith("export "):
                line = line[len("export ") :]
            name, equals, value = line.partition("=")
            if equals and not line.startswith(("#", ";")):
                value = value.strip()
                if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
                    value = value[1:-1]
                values[name.strip()] = value
        return values

    def _read(self, path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read(65_536)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{path} cannot be read: {reason_of(error)}") from None
