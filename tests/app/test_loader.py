"""The process that reads the configuration: what it answers, and what is said when it does not."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from exporter.app.loader import Loader, LoadProgress, NoProgress
from exporter.cli._loading import LARGE
from exporter.core.alerts.alert_rule import Selector
from exporter.core.credentials import PingKey
from exporter.core.errors import ConfigError, HeartbeatExporterError, InvalidValue
from exporter.core.secret import digest
from exporter.storage.database import Database
from exporter.storage.repositories.credentials import PingKeys
from exporter.storage.repositories.monitors import Monitors
from tests.conftest import ManualClock

KEY = b"k" * 32
SECRET = "0123456789abcdef"


COUNT = 200


def large(count: int = COUNT, more: str = "") -> str:
    """More than 1 MB."""
    filling = "# " + "x" * (LARGE // count) + "\n"
    entries = "".join(f"  - tag: m{number}\n    secret: {SECRET}\n{filling}" for number in range(count))
    return f"monitors:\n{entries}{more}"


class Service:
    """What a service does with a loader."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "c.yml"
        self.url = f"sqlite:///{folder}/l.db"
        self.said: list[str] = []
        options = {"storage_url": self.url, "listen_address": "127.0.0.1:0"}
        self.loader = Loader(self.file, options)

    def read(self, key: bytes = KEY) -> tuple[bool, tuple[int, int, int]]:
        database = Database(self.url)
        reading = self.loader.read(self.url, key, "here", NoProgress())
        try:
            clock = ManualClock(1_800_000_000_000)
            counts = reading.provision(database, Monitors(database, clock, "here"), clock, key)
            return reading.unchanged, counts
        finally:
            reading.close()
            database.close()

    def tags(self) -> dict[str, bytes]:
        database = Database(self.url)
        with database.read("test"):
            rows = list(
                database.peewee.execute_sql("SELECT tag, digest, created_at FROM monitors WHERE removed_at IS NULL")
            )
        database.close()
        assert all(row[2] == 1_800_000_000_000 for row in rows)
        return {row[0]: bytes(row[1]) for row in rows}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_a_small_configuration_is_read_at_once(service: Service) -> None:
    service.file.write_text(
        f"monitors: [{{tag: a, secret: {SECRET}}}]\nweb: {{trusted_proxies: [10.0.0.0/8, '::1']}}\n"
    )
    prepared = service.loader.prepare(service.said.append)
    assert prepared.complete
    assert (prepared.listen_address, prepared.trusted_proxies) == ("127.0.0.1:0", "10.0.0.0/8,::1/128")
    assert "0001_initial" in prepared.migrated
    assert service.read() == (False, (1, 0, 0))
    assert service.read() == (False, (0, 0, 0))
    assert service.tags() == {"a": digest(SECRET, KEY)}


def test_a_large_configuration_is_read_later_and_not_again(service: Service) -> None:
    service.file.write_text(large(more="log: {level: warning}\n"))
    prepared = service.loader.prepare(service.said.append)
    assert not prepared.complete
    assert prepared.log_level == "warning"
    assert len(prepared.settings) < 10_000
    assert service.read() == (False, (COUNT, 0, 0))
    assert service.read() == (True, (0, 0, 0))
    assert service.read(b"another key of 16") == (False, (0, COUNT, 0))
    assert service.read(b"another key of 16") == (True, (0, 0, 0))
    service.file.write_text(large(COUNT - 1, "log: {level: error}\n"))
    assert service.read(b"another key of 16") == (False, (0, 0, 1))
    assert len(service.tags()) == COUNT - 1


def test_secrets_and_tokens_of_monitors_come_with_them_and_are_remembered(service: Service) -> None:
    def credentials(table: str) -> list[bytes]:
        database = Database(service.url)
        with database.read("test"):
            rows = list(database.peewee.execute_sql(f"SELECT digest FROM {table} ORDER BY id"))
        database.close()
        return [bytes(row[0]) for row in rows]

    more = "  - {tag: x, secret: 0123456789abcdef, secrets: [an-older-secret-of-x], tokens: [token-of-x-is-long]}\n"
    service.file.write_text(large(more=more))
    service.loader.prepare(service.said.append)
    assert service.read() == (False, (COUNT + 1, 0, 0))
    assert credentials("monitor_secrets") == [digest("an-older-secret-of-x", KEY)]
    assert credentials("monitor_tokens") == [digest("token-of-x-is-long", KEY)]
    assert service.read() == (True, (0, 0, 0))
    assert credentials("monitor_tokens") == [digest("token-of-x-is-long", KEY)]
    service.file.write_text(large(more=more.replace("token-of-x", "other-of-x")))
    assert service.read() == (False, (0, 1, 0))
    assert credentials("monitor_tokens") == [digest("other-of-x-is-long", KEY)]
    assert service.read() == (True, (0, 0, 0))
    assert service.read(b"another key of 16") == (False, (0, COUNT + 1, 0))
    assert credentials("monitor_tokens") == [digest("other-of-x-is-long", b"another key of 16")]


def test_a_token_that_opens_something_else_changes_nothing_and_is_not_remembered(service: Service) -> None:
    service.file.write_text(large())
    service.loader.prepare(service.said.append)
    service.read()
    database = Database(service.url)
    key = PingKey(name="ci", digest=digest("key-of-ci-is-long", KEY), selector=Selector(tags=("ci-*",)))
    PingKeys(database, ManualClock()).add(key)
    database.close()
    taken = "  - {tag: x, secret: 0123456789abcdef, tokens: [key-of-ci-is-long]}\n"
    service.file.write_text(large(COUNT - 1, more=taken))
    for _ in range(2):
        with pytest.raises(ConfigError, match="a token of the monitor 'x' is in use elsewhere"):
            service.read()
        assert len(service.tags()) == COUNT
        assert "x" not in service.tags()


def test_dialects_and_ping_keys_are_read_with_and_without_monitors(service: Service) -> None:
    keys = "ping_keys: [{name: ci, key: key-of-ci-is-long-enough, monitors: {monitors: ['ci-*']}}]\n"
    service.file.write_text(large(more=f"{keys}dialects: {{alertmanager: off}}\nbuilt_in_tokens: off\n"))
    service.loader.prepare(service.said.append)
    for unchanged in (False, True):
        reading = service.loader.read(service.url, KEY, "here", NoProgress())
        reading.close()
        service.read()
        settings = reading.settings
        assert reading.unchanged is unchanged
        assert [one.name for one in settings.ping_keys] == ["ci"]
        assert (list(settings.dialects_off), settings.built_in_tokens) == (["alertmanager"], False)
    service.file.write_text(large(more="dialects: {alertmanagr: off}\n"))
    with pytest.raises(ConfigError, match="did you mean alertmanager"):
        service.read()


def test_another_version_of_the_program_reads_again(service: Service) -> None:
    service.file.write_text(large())
    service.loader.prepare(service.said.append)
    service.read()
    database = Database(service.url)
    with database.write("test"):
        database.tables.settings.update(**{"value": "of another version"}).where(
            database.tables.settings.key == "provisioned"
        ).execute()
    database.close()
    assert service.read() == (False, (0, 0, 0))
    assert service.read() == (True, (0, 0, 0))


@pytest.mark.parametrize("bad", ["nonsense: 1\n", "  - {tag: m0, secret: SESAME}\nlog: {level: loud}\n"])
def test_every_problem_comes_back(service: Service, bad: str) -> None:
    service.file.write_text(large() + bad)
    with pytest.raises(ConfigError) as raised:
        service.loader.read(service.url, KEY, "here", NoProgress())
    assert raised.value.problems[-1].line == 3 * COUNT + 1 + bad.count("\n")
    assert len(raised.value.problems) == bad.count("\n")
    assert "SESAME" not in str(raised.value)


def test_other_errors_come_back_as_what_they_are(service: Service) -> None:
    service.file.write_text("")
    loader = Loader(service.file, {"storage_url": service.url, "listen_address": "nowhere"})
    with pytest.raises(InvalidValue, match=r"--web\.listen-address"):
        loader.prepare(service.said.append)
    loader = Loader(service.file, {"storage_url": f"sqlite:///{service.file}/x.db", "listen_address": "127.0.0.1:0"})
    loader.prepare(service.said.append)
    assert any("the service starts without the database" in one for one in service.said)


def test_a_process_that_is_killed_is_an_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.file.write_text("")
    from exporter.app import loader

    class Killed(loader._Conversation):
        def send(self, message: Any) -> None:
            self._process.kill()
            super().send(message)

    monkeypatch.setattr(loader, "_Conversation", Killed)
    with pytest.raises(HeartbeatExporterError, match="was ended by SIGKILL: is there enough memory"):
        service.loader.read(service.url, KEY, "here", NoProgress())


def test_a_stop_ends_a_reading(service: Service) -> None:
    service.file.write_text(large())
    service.loader.prepare(service.said.append)
    service.loader.cancel()
    with pytest.raises(ConfigError, match="the service stops"):
        service.loader.read(service.url, KEY, "here", NoProgress())


def test_of_several_workers_one_reads(service: Service) -> None:
    service.file.write_text(large())
    service.loader.prepare(service.said.append)
    service.loader = Loader(service.file, {"storage_url": service.url, "listen_address": "127.0.0.1:0"}, workers=3)
    with ThreadPoolExecutor(3) as workers:
        answers = [work.result() for work in [workers.submit(service.read) for _ in range(3)]]
    assert sorted(answers) == [(False, (COUNT, 0, 0)), (True, (0, 0, 0)), (True, (0, 0, 0))]


def test_modules_come_from_where_ours_do(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the working directory must not be taken for one of them."""
    service.file.write_text("")
    for name in ("yaml", "pickle", "exporter"):
        (service.file.parent / f"{name}.py").write_text("raise SystemExit('taken from here')")
    monkeypatch.chdir(service.file.parent)
    assert service.loader.prepare(service.said.append).complete


def test_a_configuration_from_a_pipe(service: Service) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    try:
        os.write(writer, f"monitors: [{{tag: a, secret: {SECRET}}}]\n".encode())
        os.close(writer)
        loader = Loader(Path(f"/dev/fd/{reader}"), {"storage_url": service.url, "listen_address": "127.0.0.1:0"})
        assert loader.prepare(service.said.append).complete
    finally:
        os.close(reader)


def test_progress_is_logged_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    progress = LoadProgress(clock)
    for _ in range(100):
        progress.report("reading files")
        clock.advance(100)
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"loading configuration for {seconds} s: reading files" for seconds in (3, 6, 9)]
