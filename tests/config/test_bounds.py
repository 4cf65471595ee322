"""No file makes the program wait, read without end or compute for long: an error within a second says what to do."""

import os
import threading
import time
from pathlib import Path

import pytest

from exporter.config.files import read_bounded
from exporter.config.load import load_config
from exporter.config.substitution import secret_in
from exporter.config.yaml.document import MAX_FILE, read_document
from exporter.core.errors import ConfigError

LONG = 2_000_000
CPU_SECONDS = 1.0


def bomb(first: str, levels: int) -> str:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines)


def message_within_a_second(path: Path) -> str:
    start = time.process_time()
    with pytest.raises(ConfigError) as raised:
        load_config(path, {})
    assert time.process_time() - start < CPU_SECONDS
    assert raised.value.__cause__ is None
    assert len(str(raised.value)) < 1000
    return raised.value.problems[0].message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bomb("[x, x, x, x, x, x, x, x, x, x]", 7), "write the settings out, without aliases"),
        (bomb("[x, x, x, x, x, x, x, x, x, x]", 200), "write the settings out, without aliases"),
        (bomb("{a: 1}", 20).replace("[", "{a: [").replace("]", "]}"), "write the settings out, without aliases"),
        ("a: &a '" + "$" * 100_000 + "'\nb: [" + "*a, " * 9_000 + "]", "write the settings out, without aliases"),
        ("a: &a 1\n" + "b: &a [*a, *a, *a]\n" * 50, "an alias refers to a value that contains it"),
        ("a: &a [*a]", "an alias refers to a value that contains it"),
        ("a: &a {b: {c: [*a]}}", "an alias refers to a value that contains it"),
        ("x: " + "[" * 100_000, "at most 30 levels"),
        ("x: " + "{a: " * 100_000, "at most 30 levels"),
        ("- " * 100_000, "at most 30 levels"),
        ("? " * 100_000, "at most 30 levels"),
        ("x: " + "a" * LONG, "a string of more than 131,072 characters"),
        ("x: " + "a " * LONG, "a string of more than 131,072 characters"),
        ("x: '" + "a" * LONG + "'", "a string of more than 131,072 characters"),
        ('x: "' + "\\n" * LONG + '"', "a string of more than 131,072 characters"),
        ("x: |\n" + "  line\n" * LONG, "a string of more than 131,072 characters"),
        ("x: >\n" + "  " + "a" * LONG, "a string of more than 131,072 characters"),
        ("x: &" + "a" * LONG + " 1", "a string of more than 131,072 characters"),
        ("x: !" + "a" * LONG + " 1", "a string of more than 131,072 characters"),
        ("%" + "a" * LONG, "a string of more than 131,072 characters"),
        ("a" * LONG + ": 1", "a string of more than 131,072 characters"),
        ("x: " + "1" * LONG, "a string of more than 131,072 characters"),
        ("".join(f"k{number}: 1\n" for number in range(LONG // 4)), "more than 1,000 keys under one heading"),
        ("x: {" + "".join(f"k{number}: 1, " for number in range(LONG // 4)) + "}", "more than 1,000 keys"),
        ("k: 1\n" * LONG, "more than 1,000 keys under one heading"),
        ("x: " + "1" * 5000, "is not a setting"),
        ("log: &b\n  <<: {level: info}\nweb: *b\n", "merge keys"),
        ("log: {level: a\x07b}", "U+0007 is not allowed"),
        ("log: {level: info}\n".encode("utf-16"), "is not UTF-8"),
        ("log: {level: info}\n".encode("utf-16-le"), "U+0000 is not allowed"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_an_error_within_a_second(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "c.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in message_within_a_second(path)


def test_aliases_that_save_typing_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    secret = "0123456789abcdef" * 2
    monitors = "".join(f"  - {{tag: job-{n}, secret: {secret}, labels: *l}}\n" for n in range(500))
    first = f"  - {{tag: first, secret: {secret}, labels: &l {{team: a, site: b, tier: c}}}}\n"
    path.write_text("monitors:\r\n" + first + monitors)
    settings = load_config(path, {}).settings
    assert len(settings.monitors) == 501
    assert settings.monitors[500].monitor.labels == settings.monitors[0].monitor.labels


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_pipe_without_a_writer_is_not_waited_for_without_end(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.config.yaml.document.PIPE_PATIENCE", 0.05)
    assert "a pipe whose writer did not finish within 0.05 s" in message_within_a_second(fifo)


def test_a_pipe_is_read_to_its_end_and_within_the_bound() -> None:
    for content, most, expected in ((b"log: {}\n", 100, b"log: {}\n"), (b"a" * 1000, 10, b"a" * 11), (b"", 10, b"")):
        reader, writer = os.pipe()
        try:
            os.write(writer, content)
            os.close(writer)
            assert read_bounded(Path(f"/dev/fd/{reader}"), most, pipe_patience=5) == expected
        finally:
            os.close(reader)


def test_a_pipe_whose_writer_comes_late(fifo: Path) -> None:
    writer = threading.Thread(target=fifo.write_bytes, args=(b"log: {level: debug}\n",))
    writer.start()
    assert read_document(fifo).values == {"log": {"level": "debug"}}
    writer.join()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/dev/zero", "a device, not a file"),
        ("/dev/urandom", "a device, not a file"),
        ("/proc", "is a directory"),
        ("fifo", "it is a pipe"),
        ("huge", "too large for a secret"),
    ],
)
def test_what_cannot_be_a_secret(fifo: Path, name: str, message: str) -> None:
    with (fifo.parent / "huge").open("wb") as huge:
        huge.truncate(MAX_FILE + 1)
    path = fifo.parent / "c.yml"
    path.write_text(f"secret_key_file: {name}\n")
    assert message in message_within_a_second(path)
    if name != "huge":
        assert secret_in(fifo.parent / name)[0] == ""


@pytest.mark.parametrize(("name", "message"), [("/dev/zero", "a device"), ("/", "is a directory"), ("huge", "64 MB")])
def test_what_cannot_be_a_configuration(tmp_path: Path, name: str, message: str) -> None:
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(MAX_FILE * 1000)
    assert message in message_within_a_second(tmp_path / name)


def test_links_and_files_of_proc_are_fine(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "secret").write_text("0123456789abcdef\n")
    (tmp_path / "secret").symlink_to("..data/secret")
    assert secret_in(tmp_path / "secret") == ("0123456789abcdef", None)
    assert secret_in(Path("/proc/sys/kernel/ostype")) == ("Linux", None)
