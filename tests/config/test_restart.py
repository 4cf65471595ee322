"""Settings that take effect only at a start, as a reload reports them."""

from dataclasses import replace

import pytest

from exporter.config.settings import Secret, SelfHeartbeatSettings, Settings, needs_restart

OLD = Settings(secret_key=Secret("a" * 32))


@pytest.mark.parametrize(
    ("new", "names"),
    [
        (OLD, []),
        (replace(OLD, secret_key=Secret("a" * 32)), []),
        (replace(OLD, storage=replace(OLD.storage, history_retention=1), after_outage="strict"), []),
        (replace(OLD, log=replace(OLD.log, level="debug")), []),
        (replace(OLD, log=replace(OLD.log, format="json")), ["log.format"]),
        (replace(OLD, secret_key=Secret("b" * 32)), ["secret_key"]),
        (replace(OLD, self_heartbeat=SelfHeartbeatSettings(Secret("https://x"), 1)), ["self_heartbeat"]),
        (
            replace(OLD, storage=replace(OLD.storage, url="sqlite:///b.db", spool="s", spool_megabytes=1)),
            ["storage.url", "storage.spool", "storage.spool_megabytes"],
        ),
        (
            replace(OLD, web=replace(OLD.web, listen_address=":1", telemetry_path="/m", keepalive=1, external_url="x")),
            ["web.listen_address", "web.telemetry_path", "web.keepalive"],
        ),
    ],
)
def test_what_needs_a_restart(new: Settings, names: list[str]) -> None:
    assert needs_restart(OLD, new) == names
