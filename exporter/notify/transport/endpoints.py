"""Where a notifier connects to, without secrets."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port. The rest of a notifier's URL is secret, and not here."""

    host: str
    port: int
    tls: bool
    """Whether it speaks TLS from the first byte."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    by_http: bool = True
    """Whether the environment's proxies are used."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint_of(url: str, ca_file: str | None = None) -> Endpoint:
    """Of an http or https URL that the configuration has checked."""
    parts = urlsplit(url)
    return Endpoint(parts.hostname or "", parts.port or _PORTS[parts.scheme], parts.scheme == "https", ca_file)
