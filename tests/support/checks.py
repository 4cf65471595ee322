"""Healthchecks' management API in front of a real database, asked without a server."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.app.management import ApiForDialects
from exporter.config.settings import AuthSettings, NotifierSettings, Secret, Settings, WebSettings
from exporter.core.heartbeat import Heartbeat, Kind
from exporter.core.monitor import Monitor
from exporter.core.secret import digest
from exporter.ingest.dialects.healthchecks.dialect import HealthchecksDialect
from exporter.recording.statements import Pending
from exporter.storage.repositories.credentials import Digests, FileCredentials, MonitorCredentials
from tests.support.ingest import KEY, Asked, Outcome, send
from tests.support.scenes import World

API_TOKEN = "SESAME-token-of-the-api"
NOTIFIERS = ("ops", "mail", "pager")


class Reply(NamedTuple):
    status: int
    body: Any
    """As JSON, where it is JSON; else bytes."""
    headers: Mapping[str, str]
    outcome: Outcome


class ChecksApi:
    """One installation. What a test sets here is in force for the next request."""

    def __init__(self) -> None:
        self.world = World()
        self.world.container.key = KEY
        self.token: str | None = API_TOKEN
        self.built_in_tokens = True
        self.external_url: str | None = "https://hb.example.org"
        self.api = ApiForDialects(
            self.world.fleet,
            self.world.container.managed_monitors,
            self.world.executor,
            self.settings,
            lambda: KEY,
            self.world.history,
        )

    def settings(self) -> Settings:
        types = {"ops": "webhook", "mail": "email", "pager": "pagerduty"}
        auth = AuthSettings(token=Secret(self.token) if self.token is not None else None)
        return Settings(
            web=WebSettings(external_url=self.external_url, auth=auth),
            built_in_tokens=self.built_in_tokens,
            notifiers=tuple(NotifierSettings(name, types[name], None, 0, 0) for name in NOTIFIERS),
        )

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = API_TOKEN,
        query: str = "",
        raw: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        **options: Any,
    ) -> Reply:
        """`path` follows `/api/`; `raw` is a body that is no JSON."""
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        fields = [*headers, *([(b"x-api-key", key.encode())] if key is not None else [])]
        fields += [(b"content-length", b"%d" % len(content))] if content else []
        asked = Asked(f"/api/{path}", method, query.encode(), tuple(fields), content)
        outcome = send(asked, [HealthchecksDialect()], self.world.fleet, management=self.api, **options)
        is_json = (
            outcome.headers.get("content-type") == "application/json" and "content-encoding" not in outcome.headers
        )
        answered = json.loads(outcome.body) if is_json else outcome.body
        return Reply(outcome.status, answered, outcome.headers, outcome)

    def create(self, *, version: str = "v3", **members: Any) -> dict[str, Any]:
        reply = self.ask("POST", f"{version}/checks/", members)
        assert reply.status == 201, reply
        return dict(reply.body)

    def checks(self, query: str = "", version: str = "v3") -> list[dict[str, Any]]:
        reply = self.ask("GET", f"{version}/checks/", query=query)
        assert reply.status == 200
        return list(reply.body["checks"])

    def monitor(self, tag: str) -> Monitor:
        watched = self.world.fleet.get(tag)
        assert watched is not None, f"there is no monitor {tag}"
        return watched.monitor

    def provision(self, *monitors: Monitor, tokens: Sequence[str] = ()) -> None:
        """As the configuration file does; `tokens` are those of the first one."""
        database, clock = self.world.database, self.world.clock
        digests = {monitors[0].tag: Digests((), tuple(digest(token, KEY) for token in tokens))}
        further = FileCredentials(MonitorCredentials(database, clock), digests)
        repository = self.world.container.repositories.monitors
        repository.provision([(monitor, digest(monitor.tag, KEY)) for monitor in monitors], further=further)
        for monitor in monitors:
            self.world.container.managed_monitors.show(repository.find(monitor.tag))

    def record(self, uuid: str, *beats: tuple[Kind, int] | tuple[Kind, int, str, str]) -> None:
        """Heartbeats of a check, each (kind, seconds from now, output, rid), written as the recorder writes them."""
        watched = self.api.with_token(uuid)
        assert watched is not None
        recorder = self.world.container.recorder
        for kind, seconds, *more in beats:
            output, rid = (*more, "", "")[:2]
            beat = Heartbeat(kind, self.world.clock.now() + seconds * 1000, rid, None, output)
            recorder._commit([Pending(watched, beat)])
