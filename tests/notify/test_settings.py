"""Notifiers in a configuration file: secrets from files, and problems with their line and without secrets."""

import re
from pathlib import Path

import pytest

from exporter.config.load import load_config
from exporter.core.errors import ConfigError
from exporter.notify.notifiers import OptionModels, notifier_class

SECRETS = {
    "password": "SESAME-password",
    "token": "123:SESAME_token",
    "key": "SESAME-key",
    "topic": "SESAME-topic",
    "urls": "# two services\njson://user:SESAME@127.0.0.1/a\n\njson://user:SESAME@127.0.0.1/b\n",
}
GOOD = """
notifiers:
  - name: mail
    type: email
    host: 127.0.0.1
    username: u
    password_file: password
    from: hb@example.org
    to: ops@example.org
  - {name: am, type: alertmanager, urls: "http://127.0.0.1:9093/am/", token_file: token}
  - {name: pd, type: pagerduty, routing_key_file: key}
  - {name: og, type: opsgenie, api_key_file: key, teams: [Storage]}
  - {name: tg, type: telegram, token_file: token, chat_id: -100123}
  - {name: push, type: ntfy, topic_file: topic, username: u, password_file: password}
  - {name: many, type: apprise, urls_file: urls}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_type_loads_and_prints_no_secret(folder: Path) -> None:
    (folder / "hb.yml").write_text(GOOD)
    loaded = load_config(folder / "hb.yml", {}, OptionModels())
    assert "SESAME" not in repr(loaded) + str(loaded.settings)
    for settings in loaded.settings.notifiers:
        made = notifier_class(settings.type)(settings.options)
        assert "SESAME" not in repr(made)
    many = loaded.settings.notifiers[-1].options
    assert [url.reveal()[-2:] for url in many.urls] == ["/a", "/b"]


def test_problems_name_their_line_and_no_secret(folder: Path) -> None:
    (folder / "urls").write_text("json://127.0.0.1/\nnosuch://SESAME\n")
    (folder / "token").write_text("SESAME but no token")
    (folder / "topic").write_text("SESAME/topic")
    bad = GOOD.replace("to: ops@example.org", "to: [ops@example.org, 'SESAME']\n    ca_file: /nowhere/ca.pem")
    bad = bad.replace("teams: [Storage]", "url: SESAME.example.org").replace("http://127", "http://u:SESAME@127")
    (folder / "hb.yml").write_text(bad)
    with pytest.raises(ConfigError) as caught:
        load_config(folder / "hb.yml", {}, OptionModels())
    found = {(problem.line, problem.path.split(".", 1)[1]) for problem in caught.value.problems}
    assert found == {
        (9, "to[1]"),
        (10, "ca_file"),
        (11, "urls[0]"),
        (13, "url"),
        (14, "token_file"),
        (15, "topic_file"),
        (16, "urls_file"),
    }
    assert "SESAME" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "notifiers:\n- {name: am, type: alertmanager, urls: 'http://am.straße.de:9093/'}\n",
        "notifiers:\n- {name: hook, type: webhook, url: 'https://hooks.straße.de/SESAME'}\n",
        "notifiers:\n- {name: chat, type: slack, url: 'https://u:SESAME@hooks.straße.de/SESAME'}\n",
        "notifiers:\n- {name: push, type: ntfy, topic: SESAME, server: 'https://ntfy.straße.de'}\n",
        "self_heartbeat: {url: 'https://hc.straße.de/SESAME'}\n",
        "web: {external_url: 'https://hb.straße.de/'}\n",
    ],
)
def test_a_host_beyond_ascii_is_refused_with_its_ascii_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "hb.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "hb.yml", {}, OptionModels())
    assert re.search(r"write the host name in ASCII: \w+\.xn--strae-oqa\.de", str(caught.value))
    assert "SESAME" not in str(caught.value)
