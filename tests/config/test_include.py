"""`include`: several files are one configuration, and each problem is named where it stands."""

from pathlib import Path

import pytest

from exporter.config.load import Loaded, load_config
from exporter.core.errors import ConfigError
from exporter.notify.notifiers import OptionModels

SECRET = "0123456789abcdef"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder / next(iter(files))


def monitor(tag: str) -> str:
    return f"  - {{tag: {tag}, secret: {SECRET}}}\n"


def load(folder: Path, files: dict[str, str]) -> Loaded:
    return load_config(write(folder, files), {"ZONE": "more", "S": SECRET}, OptionModels())


def problems(folder: Path, files: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(folder, files)
    assert "SESAME" not in str(raised.value)
    return [str(problem).replace(f"{folder}/", "") for problem in raised.value.problems]


def tags(loaded: Loaded) -> list[str]:
    return [one.monitor.tag for one in loaded.settings.monitors]


def test_lists_of_all_files_are_one(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        {
            "main.yml": "include: ['more/*.yml', last.yml]\nmonitors:\n" + monitor("first"),
            "more/b.yml": "monitors:\n" + monitor("b"),
            "more/a.yml": f"monitors:\n{monitor('a')}include: [deep/*.yml]\nalerts: [{{name: late, notify: [ops]}}]\n",
            "more/deep/c.yml": "monitors: [{tag: c, secret_file: c.secret}]\n",
            "more/deep/c.secret": SECRET,
            "more/.hidden.yml": "nonsense: 1\n",
            "last.yml": "notifiers: [{name: ops, type: webhook, url: 'http://localhost:1/'}]\n"
            "maintenances: [{name: m, starts_at: '2026-12-06 02:00', duration: 3h}]\n",
        },
    )
    assert tags(loaded) == ["first", "a", "c", "b"]
    assert [rule.name for rule in loaded.settings.alerts] == ["late"]
    assert [one.name for one in loaded.settings.notifiers] == ["ops"]
    assert [one.name for one in loaded.settings.maintenances] == ["m"]
    assert loaded.warnings == ()


def test_a_main_file_without_a_list_of_its_own_and_empty_headings(tmp_path: Path) -> None:
    files = {
        "main.yml": "include: ['${ZONE}.yml', none-*.yml]\nmonitors:\n",
        "more.yml": "alerts:\nmonitors:\n" + monitor("a"),
    }
    loaded = load(tmp_path, files)
    assert tags(loaded) == ["a"]
    (warning,) = loaded.warnings
    assert str(warning).endswith("main.yml:1: include[1]: no file fits 'none-*.yml'")
    assert load(tmp_path, {"main.yml": "include:\n"}).settings.monitors == ()


def test_a_file_that_two_patterns_fit_is_read_once(tmp_path: Path) -> None:
    files = {
        "main.yml": "include: ['m/*.yml', m/a.yml, 'l/*.yml']\n",
        "m/a.yml": "monitors:\n" + monitor("a"),
        "l/x": "",
    }
    write(tmp_path, files)
    (tmp_path / "l" / "b.yml").symlink_to(tmp_path / "m" / "a.yml")
    assert tags(load(tmp_path, files)) == ["a"]


def test_problems_are_named_with_file_and_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            "main.yml": "include: ['m/*.yml']\nmonitors:\n"
            + monitor("taken")
            + "alerts: [{name: x, notify: [nobody]}]\n",
            "m/a.yml": "\nmonitors:\n"
            + monitor("fine")
            + "  - {tag: taken, secret: '${S}', nam: x}\nlog: {level: debug}\n",
            "m/b.yml": "monitors:\n  - {tag: b, secret: 'SESAME SESAME'}\n"
            "  - {tag: fine, secret: x, schedule: '${NO}'}\n",
            "m/c.yml": "monitors: [{tag: d\n",
            "m/d.yml": "monitors: 5\n",
            "m/e.yml": "monitors: [{tag: e, secret: s, secret: t}]\n",
        },
    )
    assert found[0].startswith("main.yml:4: alerts[0].notify[0]: there is no notifier 'nobody'")
    assert found[1:4] == [
        "m/a.yml:4: monitors[1].nam: is not a setting: did you mean name?",
        "m/a.yml:4: monitors[1].tag: this tag is already used by the monitor in line 3 of main.yml",
        "m/a.yml:5: log: stands in an included file, which may hold monitors, maintenances, alerts, notifiers and "
        "include: put it into main.yml",
    ]
    assert found[4].startswith("m/b.yml:2: monitors[0].secret: ")
    assert "m/b.yml:3: monitors[1].schedule: the environment variable NO is not set" in found
    assert any(
        one.startswith("m/b.yml:3: monitors[1].tag: this tag is already used") and "line 3 of m/a.yml" in one
        for one in found
    )
    assert any(one.startswith("m/c.yml:") and "not YAML" in one for one in found)
    assert "m/d.yml:1: monitors: must be a list" in found
    assert any(one.startswith("m/e.yml:1: monitors[0].secret: is set twice") for one in found)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"main.yml": "include: [gone.yml]\n"}, "main.yml:1: include[0]: gone.yml: cannot be read: no such file"),
        ({"main.yml": "\ninclude: [m]\n", "m/x": ""}, "main.yml:2: include[0]: m: cannot be read: is a directory"),
        ({"main.yml": "include: more.yml\n"}, "main.yml:1: include: must be a list"),
        ({"main.yml": "include: [5, '']\n"}, "main.yml:1: include[0]: must be the path of a file"),
        ({"main.yml": "include: ['*.yml']\n"}, "main.yml:1: include[0]: main.yml includes itself: main.yml → main.yml"),
        (
            {"main.yml": "include: [a.yml]\n", "a.yml": "include: [b.yml]\n", "b.yml": "\ninclude: [a.yml]\n"},
            "b.yml:2: include[0]: a.yml includes itself: main.yml → a.yml → b.yml → a.yml",
        ),
        ({"main.yml": "include: [a.yml]\n", "a.yml": "include: x\n"}, "a.yml:1: include: must be a list"),
        ({"main.yml": "include: [a.yml]\n", "a.yml": "- x\n"}, "a.yml:1: the file must contain settings"),
        ({"main.yml": "include: [/dev/zero]\n"}, "main.yml:1: include[0]: zero: cannot be read: it is a device"),
    ],
)
def test_includes_that_cannot_be(tmp_path: Path, files: dict[str, str], said: str) -> None:
    assert any(one.startswith(said) for one in problems(tmp_path, files)), problems(tmp_path, files)


def test_files_in_all_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.config.sources.MAX_FILES", 3)
    files = {"main.yml": "include: ['m/*.yml']\n", **{f"m/{n}.yml": "" for n in range(4)}}
    assert any("more than 3 files are included" in one for one in problems(tmp_path, files))
    monkeypatch.setattr("exporter.config.sources.MAX_FILE", 100)
    files = {"main.yml": "include: ['l/*.yml']\n", "l/a.yml": "#" * 60, "l/b.yml": "#" * 60}
    assert any("larger than 64 MB in all" in one for one in problems(tmp_path, files))
