"""A database that cannot be opened: the error names the path and the cure."""

from pathlib import Path

import pytest

from exporter.core.errors import StorageUnavailable
from exporter.storage.database import Database


def said(path: Path) -> str:
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StorageUnavailable) as caught, database.write("test"):
        database.peewee.execute_sql("CREATE TABLE x (y)")
    database.close()
    return str(caught.value)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    text = said(tmp_path / "gone" / "heartbeats.db")
    assert f"the folder {tmp_path}/gone does not exist; create it for uid " in text
    assert text.endswith("or change storage.url")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "heartbeats.db").mkdir()
    assert f"{tmp_path}/heartbeats.db is a folder; name a file in storage.url" in said(tmp_path / "heartbeats.db")


def test_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "heartbeats.db").write_text("Dear diary, " * 200)
    assert f"{tmp_path}/heartbeats.db is another kind of file; move it away" in said(tmp_path / "heartbeats.db")
