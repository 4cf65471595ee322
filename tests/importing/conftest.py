"""Databases of other systems, with the columns that they have, and the command that reads them."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from exporter.cli.main import main
from exporter.config.load import load_config
from exporter.config.settings import Settings
from exporter.notify.notifiers import OptionModels
from tests.support.receivers import Receiver

Rows = Mapping[str, list[dict[str, Any]]]


def write(path: Path, tables: Rows) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        for table, rows in tables.items():
            columns = list(dict.fromkeys(name for row in rows for name in row)) or ["id"]
            database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            for row in rows:
                marks = ", ".join("?" for _ in columns)
                database.execute(f"INSERT INTO {table} VALUES ({marks})", [row.get(name) for name in columns])
    return path


def command(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["import", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


Takes = Callable[..., tuple[Settings, str]]


@pytest.fixture
def take(tmp_path: Path) -> Takes:
    """Runs an import, and loads what it printed as the service would; returns the settings and the remarks."""

    def one(*arguments: object, environ: Mapping[str, str] | None = None) -> tuple[Settings, str]:
        result = command(*arguments)
        assert result.exit_code == 0, result.stderr
        assert isinstance(YAML(typ="safe").load(result.stdout), dict)
        file = tmp_path / "taken.yml"
        file.write_text(result.stdout)
        again = command(*arguments)
        assert again.stdout == result.stdout, "an import can be repeated"
        return load_config(file, environ or {}, OptionModels()).settings, result.stderr

    return one
