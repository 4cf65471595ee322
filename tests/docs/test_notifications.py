"""docs/notifications.md describes every type of notifier and every option, and its own example of a notifier works."""

import importlib
import re
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from exporter.config.alert_models import NotifierOptions
from exporter.config.fields import secret_fields
from exporter.config.load import load_config
from exporter.notify.notifiers import NOTIFIERS, OptionModels, notifier_class, notifier_types
from exporter.notify.notifiers.webhook import signature
from exporter.notify.samples import sample
from exporter.presentation.message import Event
from tests.support.receivers import Receiver, answer

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "notifications.md").read_text()
_FILES = {"telegram": "123456789:AA-token", "topic": "my-topic", "apprise": "json://127.0.0.1/"}
"""What the examples' files hold, where it is no URL."""
_ROW = re.compile(r"^\| `([a-z0-9_]+)`( †)? \| (.+?) \| (.+) \|$", re.MULTILINE)


def section(title: str) -> str:
    _, found, rest = DOCS.partition(f"\n## {title}\n")
    assert found, f"there is no section {title}"
    return rest.partition("\n## ")[0]


def rows(title: str) -> dict[str, tuple[bool, str]]:
    """Whether it is secret, and its default, by the option's name."""
    return {name: (bool(secret), default) for name, secret, default, _ in _ROW.findall(section(title))}


@pytest.mark.parametrize("type", sorted(NOTIFIERS))
def test_every_option_is_documented(type: str) -> None:
    model = notifier_class(type).Options
    told = rows(f"`{type}`")
    own = model.model_fields.keys() - NotifierOptions.model_fields.keys()
    fields = {model.model_fields[name].alias or name: name for name in own}
    assert told.keys() == fields.keys()
    for name, (secret, default) in told.items():
        assert secret is (fields[name] in secret_fields(model)), name
        assert (default == "required") is model.model_fields[fields[name]].is_required(), name
    assert f"type: {type}" in section(f"`{type}`"), "an example"


def test_common_options_are_documented() -> None:
    assert rows("What every notifier takes").keys() == NotifierOptions.model_fields.keys()


def test_no_type_is_documented_that_there_is_not() -> None:
    assert set(re.findall(r"^## `(.+)`$", DOCS, re.MULTILINE)) == NOTIFIERS.keys()


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL))
def test_examples_can_be_used(block: str, tmp_path: Path) -> None:
    """As they stand, but for the files and variables of their reader."""
    text = re.sub(r"_file: \S+/(\w+)", lambda found: f"_file: {tmp_path}/{found[1]}", block)
    for name in re.findall(rf"{tmp_path}/(\w+)", text):
        (tmp_path / name).write_text(_FILES.get(name, "https://example.org/hook") + "\n")
    if not text.startswith("notifiers:"):
        text = "notifiers:\n" + text
    file = tmp_path / "c.yml"
    file.write_text(text)
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "secret-of-the-reader")
    assert load_config(file, environ, OptionModels()).settings.notifiers


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The docs' own notifier, as a package of somebody else's that is installed."""
    (code,) = re.findall(r"```python\n(.*?)```", section("Writing a notifier"), re.DOTALL)
    assert len(code.splitlines()) < 60
    (entry,) = re.findall(r"```toml\n\[project\.entry-points\.\"(.+)\"\]\n(.*?)```", DOCS, re.DOTALL)
    (tmp_path / "gotify_for_heartbeats.py").write_text(code)
    information = tmp_path / "gotify_for_heartbeats-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: heartbeat-gotify\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{entry[0]}]\n{entry[1].replace(chr(34), '')}")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "gotify_for_heartbeats", raising=False)
    return __import__("gotify_for_heartbeats")


def test_the_notifier_of_the_docs_works(installed: ModuleType, tmp_path: Path) -> None:
    assert "gotify" in notifier_types()
    (tmp_path / "token").write_text("token-of-gotify\n")
    file = tmp_path / "c.yml"
    with Receiver(answer(200, '{"id": 1, "token": "token-of-gotify"}')) as receiver:
        file.write_text(
            "notifiers:\n- name: push\n  type: gotify\n"
            f"  url: {receiver.url}\n  token_file: token\n  title: '{{{{ rule }}}}'\n"
        )
        (settings,) = load_config(file, {}, OptionModels()).settings.notifiers
        said = notifier_class("gotify")(settings.options).deliver(sample(Event.TRIGGERED))
    (request,) = receiver.received
    assert request.target == "/message"
    assert request.headers["x-gotify-key"] == "token-of-gotify"
    assert request.json["title"] == "backup-missed"
    assert request.json["priority"] == 8
    assert said == '200 {"id": 1, "token": "<secret>"}'


def test_the_signature_of_the_docs_verifies() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", section("`webhook`"), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    body, now = '{"a": "é"}'.encode(), int(time.time())
    assert is_genuine(signature(b"s3cret", body, now), body, "s3cret")
    assert not is_genuine(signature(b"s3cret", body, now), body + b" ", "s3cret")
    assert not is_genuine(signature(b"other", body, now), body, "s3cret")
    assert not is_genuine(signature(b"s3cret", body, now - 301), body, "s3cret")
