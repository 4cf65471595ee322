"""Digests of what opens monitors besides their first secret: further secrets, tokens, and ping keys.

A change of a monitor's secrets or tokens takes the monitor's next revision, so every process reads the monitor again.
Ping keys have a counter of their own.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.core.alerts.alert_rule import Selector
from exporter.core.clock import Clock
from exporter.core.credentials import PingKey
from exporter.core.errors import Conflict, NotFound
from exporter.storage.database import Database, Prepared, Transaction, param
from exporter.storage.repositories.digests import TAKEN, check_unused, digests_in_use, gathered_digests
from exporter.storage.repositories.monitors import REVISION as MONITOR_REVISION
from exporter.storage.repositories.revisions import hold_revision, next_revision
from exporter.storage.rows import chunks

REVISION = "ping_keys_revision"


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of one monitor's further secrets and of its tokens."""

    secrets: tuple[bytes, ...] = ()
    tokens: tuple[bytes, ...] = ()


class MonitorCredentials:
    """All methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock
        tables = database.tables
        columns = {name: param(name) for name in ("monitor_id", "digest", "provisioned", "created_at")}
        self._add_secret = Prepared(database, tables.monitor_secrets.insert(**columns))
        self._add_token = Prepared(database, tables.monitor_tokens.insert(**columns))

    def provision(self, transaction: Transaction, digests: Mapping[str, Digests]) -> Sequence[int]:
        """Makes those that the configuration file gives its monitors, by tag, exactly these, inside a transaction that
        holds the monitors' revision; returns the ids of the monitors that changed. Raises Conflict when a token is in
        use elsewhere.
        """
        tables, monitors = self._db.tables, self._db.tables.monitors
        aims, changed, tags = self._compare(digests)
        for chunk in chunks(changed):
            for table in (tables.monitor_secrets, tables.monitor_tokens):
                table.delete().where(table.monitor_id.in_(chunk) & (table.provisioned == True)).execute()  # noqa: E712
        mine = sorted(aims.keys() & set(changed))
        taken = digests_in_use(self._db) if any(aims[id].tokens for id in mine) else set()
        for id in mine:
            if len(set(aims[id].tokens)) < len(aims[id].tokens) or not taken.isdisjoint(aims[id].tokens):
                raise Conflict(f"a token of the monitor {tags[id]!r} {TAKEN}")
            taken.update(aims[id].tokens)
        secrets = [(id, each) for id in mine for each in aims[id].secrets]
        tokens = [(id, each) for id in mine for each in aims[id].tokens]
        self._insert(transaction, self._add_secret, secrets, True)
        self._insert(transaction, self._add_token, tokens, True)
        if changed:
            revision = next_revision(self._db, MONITOR_REVISION)
            for chunk in chunks(changed):
                monitors.update(**{"revision": revision}).where(monitors.id.in_(chunk)).execute()
        return changed

    def give_tokens(self, transaction: Transaction, tokens: Mapping[str, Sequence[bytes]]) -> Sequence[int]:
        """Gives monitors these tokens, by tag, beside those that they have; inside a transaction that holds the
        monitors' revision. Returns the ids of the monitors that did not have them all. Raises Conflict when a token is
        in use elsewhere.
        """
        table, monitors = self._db.tables.monitor_tokens, self._db.tables.monitors
        ids = self._ids(tokens.keys())
        present = {bytes(digest): id for id, digest in table.select(table.monitor_id, table.digest).tuples()}
        rows = [(ids[tag], digest) for tag in ids for digest in tokens[tag] if present.get(digest) != ids[tag]]
        check_unused(self._db, [digest for _, digest in rows], "a token")
        self._insert(transaction, self._add_token, rows, False)
        changed = sorted({id for id, _ in rows})
        revision = next_revision(self._db, MONITOR_REVISION) if changed else 0
        for chunk in chunks(changed):
            monitors.update(**{"revision": revision}).where(monitors.id.in_(chunk)).execute()
        return changed

    def differ(self, digests: Mapping[str, Digests]) -> bool:
        """Whether `provision` would change any, inside a reading. Monitors that are not there yet do not count."""
        return bool(self._compare(digests)[1])

    def rotate(self, tag: str, digest: bytes | None, keep_old: bool = False) -> None:
        """Gives the monitor `tag` another secret and another built-in token. With `keep_old`, the secret of before is
        good until the next rotation. `digest` is None for a monitor whose secret stays: one of the configuration file,
        whose secret is changed there. Raises NotFound, and Conflict.
        """
        monitors, secrets = self._db.tables.monitors, self._db.tables.monitor_secrets
        with self._db.write("rotate secret") as transaction:
            hold_revision(self._db, MONITOR_REVISION)
            query = monitors.select(monitors.id, monitors.digest, monitors.provisioned)
            row = next(iter(query.where((monitors.tag == tag) & monitors.removed_at.is_null()).tuples()), None)
            if row is None:
                raise NotFound(f"there is no monitor {tag!r}")
            id, old, provisioned = row[0], bytes(row[1]), bool(row[2])
            change: dict[str, Any] = {"generation": monitors.generation + 1}
            if digest is not None:
                if provisioned:
                    raise Conflict(f"{tag!r} comes from the configuration file: change its secret there and reload")
                change["digest"] = digest
                secrets.delete().where((secrets.monitor_id == id) & (secrets.provisioned == False)).execute()  # noqa: E712
                if keep_old:
                    self._insert(transaction, self._add_secret, [(id, old)], False)
            change["revision"] = next_revision(self._db, MONITOR_REVISION)
            monitors.update(**change).where(monitors.id == id).execute()

    def is_provisioned(self, tag: str) -> bool:
        """Whether the monitor `tag` comes from the configuration file. Raises NotFound."""
        monitors = self._db.tables.monitors
        with self._db.read("find monitor"):
            query = monitors.select(monitors.provisioned)
            for row in query.where((monitors.tag == tag) & monitors.removed_at.is_null()).tuples():
                return bool(row[0])
        raise NotFound(f"there is no monitor {tag!r}")

    # ── within a transaction ─────────────────────────────────────────────────────────────────────────────────

    def _compare(self, digests: Mapping[str, Digests]) -> tuple[dict[int, Digests], list[int], dict[int, str]]:
        """Those wanted by id, the ids of the monitors that have others, and tags by id."""
        present = self._provisioned()
        needed = {tag for tag, values in digests.items() if values.secrets or values.tokens}
        ids = self._ids(needed)
        aims = {ids[tag]: digests[tag] for tag in needed if tag in ids}
        changed = [id for id in {*present, *aims} if present.get(id, Digests()) != aims.get(id, Digests())]
        return aims, sorted(changed), {id: tag for tag, id in ids.items()}

    def _provisioned(self) -> dict[int, Digests]:
        return {
            id: Digests(tuple(secrets), tuple(tokens))
            for id, (secrets, tokens) in gathered_digests(self._db, provisioned=True).items()
        }

    def _ids(self, tags: Collection[str]) -> dict[str, int]:
        """Of all monitors, which takes less time than asking for many of them by their tags."""
        monitors = self._db.tables.monitors
        query = monitors.select(monitors.tag, monitors.id).where(monitors.removed_at.is_null())
        return {tag: id for tag, id in query.tuples() if tag in tags} if tags else {}

    def _insert(
        self, transaction: Transaction, statement: Prepared, rows: Iterable[tuple[int, bytes]], provisioned: bool
    ) -> None:
        """Each row is (monitor id, digest)."""
        now = self._clock.now()
        transaction.execute_many(
            statement,
            [
                statement.row({"monitor_id": id, "digest": digest, "provisioned": provisioned, "created_at": now})
                for id, digest in rows
            ],
        )


class FileCredentials:
    """Those that the configuration file gives its monitors, by tag; implements monitors.Further."""

    def __init__(self, credentials: MonitorCredentials, digests: Mapping[str, Digests]) -> None:
        self._credentials = credentials
        self._wanted = digests

    def differs(self) -> bool:
        return self._credentials.differ(self._wanted)

    def write(self, transaction: Transaction) -> Sequence[int]:
        return self._credentials.provision(transaction, self._wanted)


class OwnTokens:
    """Tokens that monitors made by hand get, by tag; implements monitors.Further."""

    def __init__(self, credentials: MonitorCredentials, tokens: Mapping[str, Sequence[bytes]]) -> None:
        self._credentials = credentials
        self._wanted = tokens

    def differs(self) -> bool:
        return True

    def write(self, transaction: Transaction) -> Sequence[int]:
        return self._credentials.give_tokens(transaction, self._wanted)


class PingKeys:
    """All methods block and raise StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    def revision(self) -> int:
        """It differs after every change."""
        settings = self._db.tables.settings
        with self._db.read("read ping keys"):
            rows = settings.select(settings.value).where(settings.key == REVISION).tuples()
            return next((int(row[0]) for row in rows), 0)

    def all(self) -> Sequence[PingKey]:
        """In the order of names."""
        with self._db.read("read ping keys"):
            return self._select()

    def created(self) -> Mapping[str, int]:
        """How many monitors there are that each key has created, by its name."""
        monitors, counts = self._db.tables.monitors, {}
        with self._db.read("count monitors"):
            for name in [key.name for key in self._select()]:
                where = (monitors.made_by == name) & monitors.removed_at.is_null()
                counts[name] = int(monitors.select().where(where).count())
        return counts

    def add(self, key: PingKey) -> None:
        """Raises Conflict when the name is taken, or when what opens the key opens something else."""
        with self._db.write("add ping key"):
            next_revision(self._db, REVISION)
            if any(stored.name == key.name for stored in self._select()):
                raise Conflict(f"there is a ping key {key.name!r} already")
            check_unused(self._db, [key.digest], "this key")
            self._insert(key)

    def rotate(self, name: str, digest: bytes) -> None:
        """Raises NotFound, or Conflict for a key of the configuration file."""
        keys = self._db.tables.ping_keys
        with self._db.write("rotate ping key"):
            next_revision(self._db, REVISION)
            self._existing(name, "change it there and reload")
            check_unused(self._db, [digest], "this key")
            keys.update(**{"digest": digest}).where(keys.name == name).execute()

    def remove(self, name: str) -> None:
        """Raises NotFound, or Conflict for a key of the configuration file. Monitors that it created stay."""
        keys = self._db.tables.ping_keys
        with self._db.write("remove ping key"):
            next_revision(self._db, REVISION)
            self._existing(name, "remove it there and reload")
            keys.delete().where(keys.name == name).execute()

    def provision(self, ping_keys: Iterable[PingKey]) -> int:
        """Makes those of the configuration file exactly these; returns how many changed. One that was made by hand
        under the same name is taken over. Raises Conflict when a key opens something else.
        """
        aims = {key.name: key for key in ping_keys}
        keys = self._db.tables.ping_keys
        with self._db.write("provision ping keys"):
            hold_revision(self._db, REVISION)
            present = {key.name: key for key in self._select()}
            gone = [name for name, key in present.items() if key.provisioned and name not in aims]
            changed = [key for name, key in aims.items() if present.get(name) != key]
            for name in (*gone, *(key.name for key in changed)):
                keys.delete().where(keys.name == name).execute()
            for key in changed:
                check_unused(self._db, [key.digest], f"the ping key {key.name!r}")
                self._insert(key)
            if gone or changed:
                next_revision(self._db, REVISION)
        return len(gone) + len(changed)

    # ── within a transaction ─────────────────────────────────────────────────────────────────────────────────

    def _existing(self, name: str, instead: str) -> None:
        ping_key = next((key for key in self._select() if key.name == name), None)
        if ping_key is None:
            raise NotFound(f"there is no ping key {name!r}")
        if ping_key.provisioned:
            raise Conflict(f"the ping key {name!r} comes from the configuration file: {instead}")

    def _select(self) -> list[PingKey]:
        table = self._db.tables.ping_keys
        query = table.select(
            table.name, table.digest, table.selector, table.defaults, table.max_monitors, table.provisioned
        )
        return [
            PingKey(
                name=name,
                digest=bytes(digest),
                selector=_selector(selector),
                defaults=json.loads(defaults) if defaults is not None else None,
                max_monitors=most,
                provisioned=bool(provisioned),
            )
            for name, digest, selector, defaults, most, provisioned in query.order_by(table.name).tuples()
        ]

    def _insert(self, key: PingKey) -> None:
        selector = key.selector
        self._db.tables.ping_keys.insert(
            name=key.name,
            digest=key.digest,
            selector=json.dumps({"tags": selector.tags, "groups": selector.groups, "labels": selector.labels}),
            defaults=json.dumps(key.defaults) if key.defaults is not None else None,
            max_monitors=key.max_monitors,
            provisioned=key.provisioned,
            created_at=self._clock.now(),
        ).execute()


def _selector(text: str) -> Selector:
    read = json.loads(text)
    return Selector(
        tags=tuple(read["tags"]),
        groups=tuple(read["groups"]),
        labels=tuple((key, glob) for key, glob in read["labels"]),
    )
