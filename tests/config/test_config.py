"""The configuration: everything wrong with a file at once, each with its line, and never a secret in the message.

A file in `configs/` whose comments hold `# ERROR: path: part of the message` must give just these problems, in the
line of the comment (or in the line after a comment that stands alone); one without must load.
"""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

from exporter.config.alert_models import NotifierOptions
from exporter.config.load import ALERT_ALIASES, ALIASES, FILES, MODELS, STORAGE_ALIASES, load_config
from exporter.config.models import ConfigFile
from exporter.config.schema import json_schema
from exporter.config.settings import Secret, Settings
from exporter.config.strength import warnings_of
from exporter.core.clock import DAY
from exporter.core.errors import ConfigError
from exporter.core.ingest_guard import GuardPolicy
from exporter.core.monitor import Monitor
from exporter.notify.notifiers import OptionModels

ROOT = Path(__file__).parent.parent.parent
CONFIGS = Path(__file__).parent / "configs"
ENVIRON = {
    "SESAME": "SESAME-from-env",
    "ZONE": "SESAME/zone",
    "DOLLAR": "a$b",
    "STORAGE": "sqlite:///SESAME.db",
    "LEVEL": "debug",
    "DAYS": "30d",
    "TAG": "from-outside",
}
FILES_HERE = sorted(CONFIGS.glob("*.yml"))
_EXPECTED = re.compile(r"#\s*ERROR:\s*(\S*):\s(.*?)\s*$")


def expected(file: Path) -> list[tuple[int, str, str]]:
    found = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        for part in line.split("# ERROR:")[1:]:
            match = _EXPECTED.search("# ERROR:" + part)
            assert match is not None, line
            found.append((number + line.lstrip().startswith("#"), match[1], match[2]))
    return found


def problems(path: Path) -> list[Any]:
    with pytest.raises(ConfigError) as raised:
        load_config(path, ENVIRON)
    for shown in (str(raised.value), repr(raised.value), repr(raised.value.problems)):
        assert "SESAME" not in shown.replace("${SESAME}", "")
    assert raised.value.__cause__ is None  # YAML's errors quote the lines around them
    assert [one.line for one in raised.value.problems] == sorted(one.line for one in raised.value.problems)
    return list(raised.value.problems)


@pytest.mark.parametrize("file", FILES_HERE, ids=lambda file: file.stem)
def test_files(file: Path) -> None:
    wanted = expected(file)
    if not wanted:
        loaded = load_config(file, ENVIRON)
        assert "SESAME" not in repr(loaded) + str(loaded.settings)
        return
    found = problems(file)
    assert [(one.line, one.path) for one in found] == [(line, path) for line, path, _ in wanted]
    for one, (_, _, text) in zip(found, wanted, strict=True):
        assert text in one.message
        assert one.file == str(file)
        assert str(one).startswith(f"{file}:{one.line}: ")


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "c.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", ["", "\n# nothing\n", "{}", "null", "monitors:\n", "web:\nlog:\nstorage:\n"])
def test_empty_is_the_defaults(tmp_path: Path, content: str) -> None:
    assert load_config(write(tmp_path, content), {}).settings == Settings() == load_config(None, {}).settings


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        ("- a\n- b\n", "key: value", 1),
        ("just text", "key: value", 1),
        ("a: [1,\nb: 2", "not YAML", 2),
        ("a: 1\n  b: 2", "not YAML", 2),
        ("a: \0", "not YAML", 1),
        (b"log:\n  level: \xff\xfe", "is not UTF-8", 2),
        ("log:\r\n  level: info\r\n  levl: x\r\n", "did you mean level?", 3),
        ("a: &a [*a]", "nested too deeply", 1),
        ("a: &a {b: *a}", "nested too deeply", 1),
        ("a: " + "{a: " * 2000 + "}" * 2000, "nested too deeply", 1),
        ("\nlog: {level: 'a\0b'}", "U+0000 is not allowed", 2),
        ("%YAML 1.9\n---\nlog: {}", "not YAML", 1),
        ("log: *x", "a value that begins with * needs quotes", 1),
        ("secret_key: *SESAME", "a value that begins with * needs quotes", 1),
        ("secret_key: !SESAME!SESAME x", "not YAML: found undefined tag handle", 1),
        ("secret_key: %SESAME", "not YAML", 1),
        ("secret_key: @SESAME", "not YAML", 1),
        ("secret_key: 'SESAME", "not YAML", 1),
        ("secret_key: SESAME: SESAME", "not YAML", 1),
        ('secret_key: "\\SESAME"', "not YAML", 1),
        ("log: &a x\nweb: &a y\n", "must contain settings", 1),
        ('"a\\nb": 1', "is not a setting", 1),
        ('"\\ud800": 1', "surrogate", 1),
        ("x: " + "9" * 5000, "is not a setting", 1),
        ("monitors: [{tag: a, secret: s, downRemainingMinutes: 0x" + "f" * 5000 + "}]", "whole number of minutes", 1),
        ("web: {listen_address: ':" + "9" * 5000 + "'}", "is not an address", 1),
        ("secret_key: '" + "é" * 40 + "'", "16 to 64 bytes", 1),
        ('secret_key: "\\ud800 is half of a pair"', "half of a surrogate pair", 1),
        ('monitors: [{tag: a, secret: s, name: "\\ud800"}]', "surrogate", 1),
        (
            "monitors: [{tag: a, secret: s, labels: {" + ",".join(f"a{n}: x" for n in range(33)) + "}}]",
            "more than 32",
            1,
        ),
        ("storage: {heartbeats_kept: " + "9" * 5000 + "}", "whole number", 1),
        ("x: " + "[" * 40 + "]" * 40, "nested too deeply", 1),
        ("log: !!python/object:os.system {}", "YAML tags are not supported", 1),
        ("monitors: !SESAME []", "YAML tags are not supported", 1),
        ("monitors: 5", "must be a list", 1),
        ("web: [1]", "must contain settings", 1),
        ("monitors: [5, null]", "must contain settings", 1),
        ("? [a]\n: 1", "plain word", 1),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, content: str | bytes, message: str, line: int) -> None:
    found = problems(write(tmp_path, content))
    assert any(message in one.message for one in found), found
    assert found[0].line == line
    assert len(str(found[0])) < 500
    assert str(found[0]).isprintable()


def test_a_small_file_that_blows_up_is_refused(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert any("aliases" in one.message for one in problems(write(tmp_path, bomb)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "none.yml")[0].message
    assert "is a directory" in problems(tmp_path)[0].message


def test_secret_files(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("SESAME-1\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "bad").write_text("SESAME SESAME\nSESAME\n")
    (tmp_path / "large").write_text("SESAME" * 20_000)
    good = write(tmp_path, "monitors: [{tag: a, secret_file: good}]\nsecret_key_file: key\n")
    (tmp_path / "key").write_text("k" * 32 + "\n")
    settings = load_config(good, {}).settings
    assert settings.monitors[0].secret == Secret("SESAME-1")
    assert settings.secret_key == Secret("k" * 32)
    for name, message in [
        ("empty", "is empty"),
        ("binary", "not UTF-8"),
        ("gone", "no such file"),
        (".", "is a directory"),
        ("'a\\0b'", "no such file"),
        ('"a\\0b"', "path of a file"),
        ("${ZONE}", "${ZONE}: cannot be read"),
        ("bad", "without spaces"),
        ("large", "too large"),
        ("a" * 5000, "file name too long"),
        ("''", "path of a file"),
        ("5", "path of a file"),
    ]:
        found = problems(write(tmp_path, f"monitors:\n  - tag: a\n    secret_file: {name}\n"))
        assert len(found) == 1, found
        assert message in found[0].message
        assert (found[0].line, found[0].path) == (3, "monitors[0].secret_file")


def test_environment(tmp_path: Path) -> None:
    text = "monitors: [{tag: a, secret: '${SESAME}x', name: 'costs $$5 ${DOLLAR}', group: '$${LEVEL} $$${LEVEL}'}]"
    entry = load_config(write(tmp_path, text), ENVIRON).settings.monitors[0]
    assert entry.secret.reveal() == "SESAME-from-envx"
    assert entry.monitor.name == "costs $5 a$b"
    assert entry.monitor.group == "${LEVEL} $debug"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("tag", "SESAME here"),
        ("schedule", "SESAME"),
        ("schedule", "it's SESAME"),  # which repr puts in double quotes
        ("schedule", "it's \"SESAME"),
        ("cron", "@SESAME"),
        ("timezone", "it's/SESAME"),
        ("degraded_after", "'' SESAME '' SESAME"),
        ("max_runtime", "SESAME\nSESAME"),
        ("downRemainingMinutes", "SESAME"),
        ("group", "SESAME" * 50),
        ("name", "SESAME\0"),
        ("secret_file", "/SESAME"),
        ("paused", "SESAME"),
        ("labels", "SESAME"),
        ("secret", "it's SESAME"),
    ],
)
def test_what_the_environment_holds_is_never_told(tmp_path: Path, setting: str, value: str) -> None:
    entry = {"tag": "a", "secret_file": "s", setting: "${VALUE}"}
    if setting == "secret":
        del entry["secret_file"]
    (tmp_path / "s").write_text("s")
    lines = "\n    ".join(f"{key}: {text}" for key, text in entry.items())
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, f"monitors:\n  - {lines.strip()}\n"), {"VALUE": value})
    assert "SESAME" not in str(raised.value) + repr(raised.value)
    assert raised.value.problems[0].path == f"monitors[0].{setting}"


def test_tags_from_the_environment_that_meet(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, "monitors:\n" + "  - {tag: '${SESAME}', secret: s}\n" * 2))
    assert str(found).endswith("c.yml:3: monitors[1].tag: this tag is already used by the monitor in line 2")


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20))
def test_a_secret_is_never_told_however_it_is_written(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    path = tmp_path_factory.mktemp("any") / "c.yml"
    for text in (
        "monitors:\n  - tag: a\n    secret: {}\n    nonsense: 1\n",
        "monitors: [{{tag: a, secret: {}, nonsense: 1}}]",
        "monitors: [{{tag: a, secret:{}, nonsense: 1}}]",
        'nonsense: 1\nsecret_key: "{}"\n',
        "nonsense: 1\nweb: {{auth: {{token: '{}'}}}}\n",
    ):
        messages = []
        for some in ("another-secret", secret):
            path.write_text(text.format(some))
            with pytest.raises(ConfigError) as raised:
                load_config(path, {})
            messages.append(str(raised.value).replace(str(path), ""))
        # A word such as `monitors` is in the message whatever the secret is.
        assert secret not in messages[1] or secret in messages[0]


def test_kener(tmp_path: Path) -> None:
    text = (
        "monitors: [{tag: a, secretString: s, cron: '* * * * *', degradedRemainingMinutes: 7, "
        "downRemainingMinutes: '15'}]"
    )
    assert load_config(write(tmp_path, text), {}).settings.monitors[0].monitor == Monitor(
        tag="a", evaluation_cron="* * * * *", degraded_after=420_000, down_after=900_000
    )


@example("log: {level: '\u2028\u0085'}")
@example("? ? a")
@given(st.text(alphabet="abm: -[]{}\n\t'\"&*!|>#%@?,0~\\é\0", max_size=60) | st.binary(max_size=60))
def test_any_file_loads_or_is_explained(tmp_path_factory: pytest.TempPathFactory, content: str | bytes) -> None:
    path = write(tmp_path_factory.mktemp("any"), content)
    try:
        load_config(path, {})
    except ConfigError as error:
        assert error.problems
        assert all(one.message and str(one).isprintable() for one in error.problems)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://example.org/heartbeats", "must not have a path: the service works only at the root"),
        ("https://example.org/%2e", "must not have a path"),
        ("https://example.org?", "a query or a fragment"),
        ("https://example.org/#", "a query or a fragment"),
        ("https://example.org/x?y=SESAME", "a query or a fragment"),
        ("https://SESAME@example.org", "a user or a password"),
        ("example.org", "must be a URL"),
        ("example.org:10105", "must be a URL"),
        ("//example.org", "must be a URL"),
        ("ftp://example.org", "must be a URL"),
        ("https://:8080", "must be a URL"),
        ("https://example.org:99999", "must be a URL"),
        ("https://exa;mple.org", "must be a URL"),
        ("https:\\\\example.org", "must be a URL"),
    ],
)
def test_an_external_url_is_a_host_and_says_what_else_is_wrong(tmp_path: Path, url: str, said: str) -> None:
    file = tmp_path / "c.yml"
    file.write_text(f"web: {{external_url: '{url}'}}\n")
    (problem,) = problems(file)
    assert said in problem.message
    assert "SESAME" not in problem.message


@pytest.mark.parametrize("url", ["https://example.org/", "http://[::1]:10105", "HTTP://beats", "http://a_b.example:1"])
def test_external_urls_that_are_taken(tmp_path: Path, url: str) -> None:
    file = tmp_path / "c.yml"
    file.write_text(f"web: {{external_url: '{url}'}}\n")
    assert load_config(file, {}).settings.web.external_url == url.rstrip("/")


def test_short_secrets_are_named_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    entries = "".join(f"  - {{tag: m{number}, secret: sesame-{number:02}}}\n" for number in range(30))
    strong = "  - {tag: good, secret: 0123456789abcdef}\n"
    file.write_text(f"web: {{auth: {{token: sesame, metrics_token: 0123456789abcdef}}}}\nmonitors:\n{strong}{entries}")
    loaded = load_config(file, {})
    said = [(one.line, one.path) for one in loaded.warnings]
    assert said[:3] == [(1, "web.auth.token"), (4, "monitors[1].secret"), (5, "monitors[2].secret")]
    assert len(said) == 12
    assert "20 more monitors" in loaded.warnings[-1].message
    lines = warnings_of(loaded.settings)
    assert len(lines) == 2
    assert "web.auth.token has fewer than 16" in lines[0]
    assert "30 monitors have secrets of fewer than 16 characters" in lines[1]
    assert "and 20 more" in lines[1]
    assert "sesame" not in " ".join([*lines, *map(str, loaded.warnings)])


def test_secrets_do_not_show() -> None:
    secret = Secret("SESAME")
    assert str(secret) == repr(secret) == f"{secret}" == "<secret>"
    assert secret.reveal() == "SESAME"


def without_headings(values: Any) -> Any:
    """An empty heading loads, but an editor may well point at it."""
    if isinstance(values, dict):
        return {key: without_headings(value) for key, value in values.items() if value is not None}
    return [without_headings(value) for value in values] if isinstance(values, list) else values


def test_the_schema_accepts_what_loads_and_refuses_unknown_keys() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for file in [*FILES_HERE, ROOT / "examples" / "heartbeats.yml"]:
        if file.suffix == ".yml" and file.parent == CONFIGS and expected(file):
            continue
        values = YAML(typ="safe", pure=True).load(file.read_text()) or {}
        jsonschema.validate(without_headings(values), schema)
    for switch in ("off", False, {"hold": "2m"}):
        jsonschema.validate({"ingest_guard": switch}, schema)
    for bad in [
        {"monitor": []},
        {"monitors": [{"tag": "a", "secret": "s", "schedul": "x"}]},
        {"monitors": [{"tag": "a"}]},
        {"monitors": [{"tag": "a b", "secret": "s"}]},
        {"monitors": [{"tag": "a", "secret": "s", "down_after": "soon"}]},
        {"log": {"level": "loud"}},
        {"log": {"levels": "info"}},
        {"web": {"auth": {"tokens": "x"}}},
        {"storage": {"url": "x", "path": "y"}},
        {"ingest_guard": None},
        {"ingest_guard": "maybe"},
        {"ingest_guard": {"late_share": 2}},
    ]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_earlier_names_of_settings_are_accepted(tmp_path: Path) -> None:
    now, before = (
        load_config(write(tmp_path, f"storage: {{{text}}}"), {}).settings.storage
        for text in ("heartbeat_log_size: 7, history_retention: 3d", "heartbeats_kept: 7, transitions_kept: 3d")
    )
    assert (now.heartbeat_log_size, now.history_retention) == (7, 3 * DAY)
    assert before == now
    (problem,) = problems(write(tmp_path, "storage: {heartbeats_kept: 0}"))
    assert problem.path == "storage.heartbeats_kept"
    (problem,) = problems(write(tmp_path, "storage: {heartbeats_kept: 7, heartbeat_log_size: 7}"))
    assert "another name for heartbeat_log_size" in problem.message
    (problem,) = problems(write(tmp_path, "storage: {heartbeat_kept: 7}"))
    assert "did you mean heartbeats_kept?" in problem.message


def test_every_setting_is_documented() -> None:
    docs = (ROOT / "docs" / "configuration.md").read_text()
    for path, model in {**MODELS, ("notifiers",): NotifierOptions}.items():
        assert issubclass(model, BaseModel)
        for name, field in model.model_fields.items():
            assert field.description, name
            name = field.alias or name
            assert f"`{name}`" in docs or f"## `{name}`" in docs, (path, name)
    for path, names in FILES.items():
        for name in names:
            assert re.search(rf"`{name}` †", docs), (path, name)
    assert "`secret` †" in docs
    for alias in (*ALIASES, *ALERT_ALIASES, *STORAGE_ALIASES):
        assert f"`{alias}`" in docs


def test_the_examples_in_the_documents_load(tmp_path: Path) -> None:
    """Those of notifiers have a test of their own."""
    found = 0
    section = re.compile(f"^({'|'.join(ConfigFile.model_fields)}):", re.MULTILINE)
    for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for block in re.findall(r"```yaml\n(.*?)```", file.read_text(), re.DOTALL):
            if not section.search(block) or file.name == "notifications.md":
                continue  # Prometheus' own
            (tmp_path / "slack").write_text("https://hooks.example.org/a/b\n")
            block = block.replace("/run/secrets/", f"{tmp_path}/")
            (tmp_path / "backups.key").write_text("key-of-the-reader\n")
            environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "secret-of-the-reader")
            load_config(write(tmp_path, block), environ, OptionModels())
            found += 1
    assert found >= 3


@pytest.mark.parametrize("text", ["off", "false", "'off'"])
def test_the_ingest_guard_is_switched_off(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path, f"ingest_guard: {text}\n"), {}).settings.ingest_guard is None


@pytest.mark.parametrize("text", ["", "ingest_guard: {}\n", "ingest_guard: on\n", "ingest_guard: true\n"])
def test_the_ingest_guard_is_on_by_default(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path, text), {}).settings.ingest_guard == GuardPolicy()


@pytest.mark.parametrize("text", ["maybe", "5m", "0", "[]"])
def test_the_ingest_guard_is_not_switched_off_by_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="ingest_guard: must be off, or settings"):
        load_config(write(tmp_path, f"ingest_guard: {text}\n"), {})
