"""The forms of a storage URL: right, or refused with the form that is right."""

from pathlib import Path

import pytest

from exporter.config.storage_url import based_on, canonical
from exporter.core.errors import InvalidValue
from exporter.storage.engines import open_engine


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("postgres://u@h/d", "postgresql://u@h/d"),
        ("POSTGRES://u@h/d", "postgresql://u@h/d"),
        ("PostgreSQL://u:P%40ss@h:5432/D?sslmode=require", "postgresql://u:P%40ss@h:5432/D?sslmode=require"),
        (" postgresql:///d\n", "postgresql:///d"),
        ("SQLITE:///A.db", "sqlite:///A.db"),
        ("sqlite3:////srv/a.db", "sqlite:////srv/a.db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ("sqlite:///a b.db", "sqlite:///a b.db"),
    ],
)
def test_forms_that_are_taken(given: str, meant: str) -> None:
    assert canonical(given) == meant


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("heartbeats.db", "a path, not a URL: write sqlite:///relative/path.db"),
        ("/var/lib/heartbeats.db", "sqlite:////absolute/path.db with four slashes"),
        ("./heartbeats.db", "a path, not a URL"),
        ("", "this is not a URL"),
        ("host:SESAME@db", "this version supports postgresql and sqlite"),
        ("user.SESAME@host/db", "this is not a URL"),
        ("sqlite://heartbeats.db", "three slashes"),
        ("sqlite:/heartbeats.db", "three slashes"),
        ("sqlite:heartbeats.db", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("sqlite:///:memory:", "in memory is not supported"),
        ("sqlite:///a.db?mode=ro", "parameters are not supported"),
        ("sqlite:////srv/", "is a folder"),
        ("sqlite+aiosqlite:///a.db", "write sqlite:// without +aiosqlite"),
        ("postgresql+psycopg://u:SESAME@h/d", "write postgresql:// without +psycopg"),
        ("postgres+psycopg2://u:SESAME@h/d", "write postgresql:// without +psycopg2"),
        ("postgresql:u:SESAME@h/d", "two slashes are missing: write postgresql://user@host/database"),
        ("mysql://u:SESAME@h/d", "unknown database engine mysql: this version supports postgresql and sqlite"),
        ("://u:SESAME@h/d", "this is not a URL"),
    ],
)
def test_what_is_refused_says_what_is_right_and_shows_no_password(given: str, said: str) -> None:
    for read in (canonical, open_engine):
        with pytest.raises(InvalidValue) as refused:
            read(given)
        assert said in str(refused.value)
        assert "SESAME" not in str(refused.value)


def test_an_alias_opens_the_same_engine() -> None:
    engine = open_engine("postgres://anna:SESAME@db.example:6432/beats")
    assert engine.name == "postgresql://db.example:6432/beats"
    assert open_engine("postgresql://a.example,b.example:5433/beats").name == (
        "postgresql://a.example,b.example:5433/beats"
    )


def test_a_relative_file_belongs_to_a_folder() -> None:
    folder = Path("/etc/heartbeat")
    assert based_on("sqlite:///a.db", folder) == "sqlite:////etc/heartbeat/a.db"
    assert based_on("sqlite:////srv/a.db", folder) == "sqlite:////srv/a.db"
    assert based_on("postgresql://h/d", folder) == "postgresql://h/d"
