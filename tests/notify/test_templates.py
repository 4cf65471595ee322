"""Templates fail when they are read, with their line and in words, and never when they are needed."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.config.load import load_config
from exporter.core.errors import ConfigError, InvalidValue
from exporter.notify.context import variables
from exporter.notify.notifiers import OptionModels
from exporter.notify.samples import nasty_samples, sample, samples
from exporter.notify.templates import Kind, Template, worded
from exporter.presentation.message import Event, Message

ROOT = Path(__file__).parents[2]
TRIGGERED = sample(Event.TRIGGERED)


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("{{ headline }}", "DOWN: Nightly backup, missed, 12 min late"),
        ("{% if is_resolved %}over{% else %}{{ alert_status }}{% endif %}", "TRIGGERED"),
        ("{{ monitor_labels.team }}/{{ monitor_labels['host'] }}", "storage/db1"),
        ("{{ monitor_labels.nobody or 'nobody' }}", "nobody"),
        ("{% for a in alerts %}{{ loop.index }}:{{ a.monitor_tag }}{% endfor %}", "1:nightly-backup"),
        ("{% set n = namespace(x=1) %}{% for i in range(3) %}{% set n.x = n.x * 2 %}{% endfor %}{{ n.x }}", "8"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(reason) }}", "<missed>"),
        ("{{ exit_code }}|{{ late_seconds }}", "|720.0"),
        ("{{ reason.upper() }} {{ alerts | map(attribute='rule') | join(', ') }}", "MISSED backup-missed"),
    ],
)
def test_text(source: str, made: str) -> None:
    assert Template(source).render(TRIGGERED) == made


@pytest.mark.parametrize(
    "source",
    [
        '{"a": "{{ output }}", "b": {{ is_resolved }}, "c": {{ exit_code }}, "d": {{ late_seconds }}}',
        '{"a": {{ output | tojson }}, "b": {{ alerts | tojson }}, "c": {{ monitor_labels }}}',
        '{"a": "{{ headline ~ "\\"" ~ description | upper }}", "b": "{{ "q\\"uote" }}"}',
        '{"a": "{% set x %}{{ output }}{% endset %}{{ x }}"}',
        '{"a": "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(output) }}"}',
        '[{% for a in alerts %}"{{ a.output }}"{{ "," if not loop.last }}{% endfor %}]',
        '{"a": "{% filter trim %}{{ output }}{% endfilter %}"}',
        '{"a": "{{ output | replace("a", "\\"") | truncate(50) }}"}',
        '"{{ monitor_labels.values() | join("\\"") }}"',
    ],
)
def test_json_is_json_whatever_the_values_hold(source: str) -> None:
    template = Template(source, "json")
    for message in nasty_samples():  # a template renders every plain sample when it is made
        json.loads(template.render(message))


def test_what_was_put_in_comes_out() -> None:
    template = Template('{"a": "{{ output }}", "b": {{ output | tojson }}}', "json")
    for message in nasty_samples():
        found = json.loads(template.render(message))
        assert found["a"] == found["b"] == variables(message)["output"]


def test_html_is_escaped() -> None:
    (nasty,) = (message for message in nasty_samples() if message.key == "nasty-3-triggered")
    made = Template("<p>{{ monitor_name }}</p>", "html").render(nasty)
    assert made.startswith("<p>&lt;b&gt;bold")
    assert "<script" not in made


def test_any_markup_is_escaped() -> None:
    template = Template("*{{ monitor_name }}*{{ exit_code }}", escape=lambda text: text.replace("<", "[").upper())
    (nasty,) = (message for message in nasty_samples() if message.key == "nasty-3-triggered")
    assert template.render(nasty).startswith("*[B>BOLD[/B> [SCRIPT>ALERT(1)")


BAD = [
    ("{{ alert_nam }}", "line 1 of the template: there is no 'alert_nam': did you mean alert_name?"),
    ("a\n{% if is_resolved %}\n{{ whatever_it_is }}{% endif %}", "line 3 of the template: there is no 'whatever"),
    ("x\n{{#is_resolved}}a{{/is_resolved}}", "line 2 of the template: {{#is_resolved}} is Mustache"),
    ("{{#is_resolved}}a{{/is_resolved}}", "write {% if is_resolved %}"),
    ("{{^is_resolved}}a{{/is_resolved}}", "write {% if not is_resolved %}"),
    ("{{/is_resolved}}", "write {% endif %}"),
    ("{{{ headline }}}", "write {{ name }}"),
    ("{{& headline }}", "write {{ headline }}"),
    ("{{! note }}", "is Mustache"),
    ("{% for a in alerts %}\n{{ a.monitr }}{% endfor %}", "line 2 of the template: 'dict object' has no attribute"),
    ("{% if is_resolved %}", "line 1 of the template: Unexpected end of template"),
    ("{{ headline }", "line 1 of the template: unexpected '}'"),
    ("{{ headline | nofilter }}", "No filter named 'nofilter'"),
    ("{{ 1 / 0 }}", "line 1 of the template: it cannot be evaluated (ZeroDivisionError)"),
    ("{{ none.x() }}", "line 1 of the template"),
    ("{% include 'x' %}", "includes another"),
    ("{% import 'x' as x %}", "includes another"),
    ("{% extends 'x' %}", "includes another"),
    ("{{ ''.__class__.__mro__ }}", "not allowed"),
    ("{{ alerts.append(1) }}", "not allowed"),
    ("{{ alerts[0].update({'a': 1}) }}", "not allowed"),
    ("{{ 'a' * 10**9 }}", "not allowed"),
    ("{{ [1] * 10**9 }}", "not allowed"),
    ("{{ 9 ** 999 }}", "not allowed"),
    ("{{ '%999999999d' % 1 }}", "not allowed"),
    ("{{ '{:>999999999}'.format(1) }}", "not allowed"),
    ("{{ 'a'.ljust(10**9) }}", "not allowed"),
    ("{{ 'a' | center(10**9) }}", "No filter named 'center'"),
    ("{% for i in range(10**9) %}{% endfor %}", "range is limited to"),
    ("{% for i in range(1000) %}{% for k in range(1000) %}{{ 'aaaaaaaa' }}{% endfor %}{% endfor %}", "is longer than"),
    ("x" * 70_000, "longer than"),
    ("{{ " + "(" * 3_000, "nested too deeply"),
]


@pytest.mark.parametrize(("source", "told"), BAD, ids=range(len(BAD)))
def test_what_cannot_be(source: str, told: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Template(source)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "{{ headline }}",
            "the result is not JSON when an alert is TRIGGERED: expecting value, in line 1 of the result",
        ),
        ('{\n"a": {{ output }}}', "in line 2"),
        ('{"a": {{ headline }}}', 'write "{{ name }}" with quotes for a string'),
        ('{"a": "{% if is_resolved %}x", "b": }{% else %}"}{% endif %}', "when an alert is RESOLVED"),
        ('{"a": "x"}{% if count > 1 %},{% endif %}', "when TRIGGERED is about several alerts"),
        ('{"a": "{{ headline | safe }}"}', "No filter named 'safe'"),
    ],
)
def test_what_is_not_json(source: str, told: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Template(source, "json")
    assert told in str(caught.value)


def test_a_template_shows_nothing_of_itself_and_equals_its_like() -> None:
    template = Template("token: abc {{ headline }}")
    assert "abc" not in repr(template)
    assert template == Template("token: abc {{ headline }}")
    assert template != Template("token: abc {{ headline }}", "html")
    assert len({template, Template("token: abc {{ headline }}")}) == 1


def test_a_template_that_fails_after_all_swallows_no_alarm() -> None:
    template = Template("{{ alerts[5].rule if count > 300 else 'fine' }}")
    assert worded(template, TRIGGERED, "otherwise") == "fine"
    short = Template("{{ (monitor_tag == 'unforeseen') and 1 / 0 or 'fine' }}")
    facts = replace(TRIGGERED.first, tag="unforeseen")
    message = Message("k", Event.TRIGGERED, (facts,), TRIGGERED.site, TRIGGERED.enqueued_at)
    assert worded(short, message, "otherwise") == "otherwise"
    assert worded(None, message, "otherwise") == "otherwise"


def test_every_name_always_exists() -> None:
    names = variables(TRIGGERED).keys()
    for message in [*samples(), *nasty_samples()]:
        found = variables(message)
        assert found.keys() == names
        json.dumps(found).encode()
        assert all(found[name] == value for name, value in found["alerts"][0].items())


def test_names_of_kener() -> None:
    kener = {
        "alert_id": "sample-0",
        "alert_name": "backup-missed: Nightly backup",
        "alert_for": "STATUS",
        "alert_value": "DOWN",
        "alert_status": "TRIGGERED",
        "alert_severity": "CRITICAL",
        "alert_message": "Free some space on the archive disk, then start backup.sh by hand.",
        "alert_source": "ALERT",
        "alert_timestamp": "2026-11-24T03:12:00.000Z",
        "alert_cta_url": "https://heartbeats.example.org/monitors/nightly-backup",
        "alert_cta_text": "View monitor",
        "alert_incident_id": "1",
        "alert_incident_url": "https://heartbeats.example.org/incidents/1",
        "alert_failure_threshold": 3,
        "alert_success_threshold": 2,
        "is_resolved": False,
        "is_triggered": True,
        "site_url": "https://heartbeats.example.org",
        "site_name": "Heartbeat Exporter",
        "site_logo_url": "",
        "colors_up": "#2da44e",
        "colors_down": "#d1242f",
        "colors_degraded": "#d4820a",
        "colors_maintenance": "#8250df",
    }
    assert kener.items() <= variables(sample(Event.REPEATED)).items()
    assert variables(sample(Event.RESOLVED))["alert_status"] == "RESOLVED"


def test_kener_templates_render_with_their_sections_rewritten() -> None:
    """Its own example for PagerDuty, with `{% if %}` for `{{#…}}`."""
    source = """{
        "routing_key": "key",
        "event_action": "{% if is_triggered %}trigger{% endif %}{% if is_resolved %}resolve{% endif %}",
        "dedup_key": "kener-{{ alert_id }}",
        "payload": {"summary": "{{ alert_name }} - {{ alert_status }}", "source": "{{ alert_source }}",
                    "severity": "{{ alert_severity | lower }}", "timestamp": "{{alert_timestamp}}"},
        "links": [{"href": "{{alert_cta_url}}", "text": "{{ alert_cta_text }}"}]
    }"""
    assert json.loads(Template(source, "json").render(TRIGGERED))["event_action"] == "trigger"


def test_a_bad_template_is_told_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text(
        "notifiers:\n"
        "  - name: hook\n"
        "    type: webhook\n"
        "    url: https://example.org/secret-of-the-hook\n"
        "    body: |\n"
        '      {"a": "secret-in-the-body",\n'
        '       "b": "{{ alert_nam }}"}\n'
        "  - name: chat\n"
        "    type: slack\n"
        "    url: not-a-url-secret\n"
        "    title: '{{#is_resolved}}over{{/is_resolved}}'\n"
        "    txet: x\n"
        "  - name: third\n"
        "    type: discord\n"
        "    url_file: gone\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(file, {}, OptionModels())
    told = str(caught.value).splitlines()
    assert told[0].startswith(f"{file}:5: notifiers[0].body: line 2 of the template: there is no 'alert_nam'")
    assert told[1] == f"{file}:10: notifiers[1].url: must be a URL that begins with http:// or https://"
    assert told[2].startswith(
        f"{file}:11: notifiers[1].title: line 1 of the template: {{{{#is_resolved}}}} is Mustache"
    )
    assert told[3] == f"{file}:12: notifiers[1].txet: is not a setting: did you mean text?"
    assert told[4].startswith(f"{file}:15: notifiers[2].url_file: gone: cannot be read")
    assert len(told) == 5
    assert "secret-" not in str(caught.value).replace("url-secret", "")


def test_every_name_is_documented() -> None:
    docs = (ROOT / "docs" / "notifications.md").read_text()
    section = docs.partition("\n## Templates\n")[2].partition("\n## ")[0]
    documented = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].replace("`", "").replace(" ", "").split(",")
    }
    assert documented == {*variables(TRIGGERED)}


KINDS: tuple[Kind, ...] = ("json", "html")
GREEDY = [
    "{% for i in range(1000) %}" * 3 + "{% endfor %}" * 3,
    "{{ [1] | batch(1000000000, 0) | list | length }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x | length }}",
    "{% set x = 'a' * 1000000 %}{{ x | replace('a', x) | length }}",
    "{% set x = 'a' * 1000000 %}{% set y %}{% for i in range(1000) %}{{ x }}{% endfor %}{% endset %}{{ y | length }}",
]


@pytest.mark.parametrize(
    ("number", "kind"),
    # Each takes 0.6 s of CPU. The bound is the same one for all kinds: the others show that it is there for them too.
    [*((number, "text") for number in range(len(GREEDY))), *((number, kind) for number in (0, 4) for kind in KINDS)],
)
def test_a_greedy_template_is_refused_and_ends(number: int, kind: Kind) -> None:
    before = time.process_time()
    with pytest.raises(InvalidValue, match=r"takes too (long|much memory)"):
        Template(GREEDY[number], kind)
    assert time.process_time() - before < 1


def test_a_template_that_is_greedy_only_in_earnest_holds_nothing_up() -> None:
    greedy = "{% if monitor_tag == 'unforeseen' %}" + GREEDY[3] + "{% else %}fine{% endif %}"
    facts = replace(TRIGGERED.first, tag="unforeseen")
    message = Message("k", Event.TRIGGERED, (facts,), TRIGGERED.site, TRIGGERED.enqueued_at)
    assert worded(Template(greedy), message, "otherwise") == "otherwise"
