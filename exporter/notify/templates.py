"""Templates that users write: Jinja2 in a sandbox, strict, bounded, and tried out before they are needed.

A template that would fail at night fails when the configuration is read: it is rendered against every sample, and one
that is to be JSON has to parse, whatever the values contain.
"""

import json
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Literal

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from markupsafe import Markup
from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from exporter.core.errors import InvalidValue
from exporter.notify.bounded import bounded
from exporter.notify.context import variables
from exporter.notify.samples import nasty_samples, sample, samples
from exporter.presentation.describe import marked
from exporter.presentation.message import Event, Message

MAX_SOURCE = 64 * 1024
MAX_RESULT, MAX_PER_ALERT = 1024 * 1024, 16 * 1024
"""Characters: of a result with no alert in it, and what each adds."""
MAX_VALUE = 1_000_000
"""Characters or items that an operator may make."""
MAX_RANGE = 1_000
_MUSTACHE = re.compile(r"\{\{\{|\{\{\s*(?P<sigil>[#/^>&!])\s*(?P<name>[\w.]*)")
_FILE = "<template>"
_OF_TEXTS = frozenset(
    {"capitalize", "count", "endswith", "find", "lower", "lstrip", "partition", "removeprefix", "removesuffix"}
    | {"replace", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper"}
)
"""Methods of texts that make nothing much longer."""
_NO_FORMAT = "string formatting may produce too much: use ~ to concatenate"
_UNBOUNDED = ("center", "indent", "format", "wordwrap", "pprint", "random", "xmlattr")
_UNESCAPED = ("e", "escape", "forceescape", "safe", "urlize")
_ELSEWHERE = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
Kind = Literal["text", "json", "html"]
Escape = Callable[[str], str]


class _Environment(ImmutableSandboxedEnvironment):
    """What makes much out of little is bounded too."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr not in _OF_TEXTS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Any:
        if super().wrap_str_format(value) is not None:
            raise SecurityError(_NO_FORMAT)
        return None

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            size = max(len(operand) if isinstance(operand, str | list | tuple) else 0 for operand in (left, right))
            times = max(operand if isinstance(operand, int) else 0 for operand in (left, right))
            if size * times > MAX_VALUE or (size == 0 and _is_huge(left) and _is_huge(right)):
                raise SecurityError("the result would be too large")
        elif operator == "**" and (_is_huge(left) or not isinstance(right, int | float) or abs(right) > 64):
            raise SecurityError("the result would be too large")
        elif operator == "%" and isinstance(left, str):
            raise SecurityError(_NO_FORMAT)
        return super().call_binop(context, operator, left, right)


def _is_huge(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() > 64


class Template:
    """One template. Made only if it renders; two are equal if they would always give the same."""

    def __init__(self, source: str, kind: Kind = "text", escape: Escape | None = None) -> None:
        """`json`: values come out as the inside of a JSON string, and the result is JSON. `html`: escaped for HTML.

        `escape` is for other markups: every value goes through it, the template's own text does not.
        Raises InvalidValue, which names the line in the template and quotes no values.
        """
        self._source = source
        self._kind = escape or kind
        self._failure: str | None = None
        bounded(self._try_out)
        self._compiled = _compile(source, self._kind)

    def _try_out(self) -> str:
        self._compiled = _compile(self._source, self._kind)
        for message in _messages_to_try():
            self._render(message)
        return ""

    def render(self, message: Message) -> str:
        """Raises InvalidValue; for no message if none of the samples made it. Bounded in time and memory."""
        try:
            return bounded(lambda: self._render(message))
        except InvalidValue as error:
            self._failure = str(error)
            raise

    def take_failure(self) -> str | None:
        """What the last rendering that failed said, once."""
        failure, self._failure = self._failure, None
        return failure

    def _render(self, message: Message) -> str:
        limit = MAX_RESULT + MAX_PER_ALERT * len(message.alerts)
        parts, size = [], 0
        try:
            for part in self._compiled.generate(variables(message)):
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise InvalidValue(f"the result of the template is longer than {limit:,} characters")
        except (InvalidValue, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  whatever an expression may raise
            raise InvalidValue(f"{_line_of(error)}{_explained(error)}") from None
        text = "".join(parts)
        if self._kind == "json":
            _check_json(text, message)
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and (self._source, self._kind) == (other._source, other._kind)

    def __hash__(self) -> int:
        return hash((self._source, self._kind))

    def __repr__(self) -> str:
        """Without the source: tokens may stand in it."""
        return f"<template of {len(self._source)} characters>"


def _messages_to_try() -> list[Message]:
    """The plain ones first, so that what is said is about those."""
    return [*(sample(event) for event in Event), *samples(most=5), *nasty_samples()]


def _compile(source: str, kind: Kind | Escape) -> Any:
    if len(source) > MAX_SOURCE:
        raise InvalidValue(f"the template is longer than {MAX_SOURCE:,} characters")
    hint = _mustache(source)
    if hint is not None:
        raise InvalidValue(hint)
    environment = _environment(kind)
    try:
        tree = environment.parse(source)
        if next(tree.find_all(_ELSEWHERE), None) is not None:
            raise InvalidValue("the template includes another one, which is not supported")
        _check_names(tree, environment)
        return environment.from_string(tree)
    except TemplateSyntaxError as error:
        text = (error.message or "it cannot be parsed").rstrip(".")
        raise InvalidValue(f"line {error.lineno} of the template: {text}") from None
    except RecursionError:
        raise InvalidValue("the template is nested too deeply") from None


@lru_cache(maxsize=16)
def _environment(kind: Kind | Escape) -> _Environment:
    # With autoescape on, what a macro or a block makes is known to be escaped already.
    environment = _Environment(
        undefined=StrictUndefined,
        autoescape=kind != "text",
        finalize=_in_json if kind == "json" else _in_text if isinstance(kind, str) else _escaping(kind),
        cache_size=0,
    )
    environment.globals = {"range": _range, "namespace": Namespace}
    for name in (*_UNBOUNDED, *(() if kind in ("text", "html") else _UNESCAPED)):
        del environment.filters[name]
    if kind == "json":
        environment.filters["tojson"] = _to_json
    return environment


def _range(*limits: int) -> range:
    numbers = range(*limits)
    if len(numbers) > MAX_RANGE:
        raise SecurityError(f"range is limited to {MAX_RANGE:,} items")
    return numbers


def _to_json(value: Any) -> Markup:
    return Markup(json.dumps(value, ensure_ascii=False))  # noqa: S704  marks what needs no escaping


@pass_context
def _in_json(_: Any, value: Any) -> Markup:
    """What a value becomes between the template's own texts, which hold the quotes.

    It asks for the context so that Jinja2 leaves constants to it, instead of escaping them for HTML beforehand.
    """
    if isinstance(value, Markup):
        return value
    if value is None or isinstance(value, bool | int | float | dict | list | tuple):
        return _to_json(value)
    return _to_json(str(value))[1:-1]


def _in_text(value: Any) -> Any:
    return "" if value is None else value


def _escaping(escape: Escape) -> Callable[..., Any]:
    @pass_context
    def escaped(_: Any, value: Any) -> Markup:
        return value if isinstance(value, Markup) else Markup(escape(str(_in_text(value))))  # noqa: S704

    return escaped


def _check_json(text: str, message: Message) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        what = str(getattr(error, "msg", "not JSON")).lower()
        raise InvalidValue(
            f"the result is not JSON when {_occasion(message)}: {what}, in line {line} of the result; "
            'write "{{ name }}" with quotes for a string, or {{ name | tojson }} without quotes for any value'
        ) from None


def _occasion(message: Message) -> str:
    return (
        f"an alert is {message.event.value}"
        if len(message.alerts) == 1
        else f"{message.event.value} is about several alerts"
    )


def _check_names(tree: nodes.Template, environment: _Environment) -> None:
    """Names that can never be there, also where the samples don't come by."""
    ours = {*variables(sample(Event.TRIGGERED)), *environment.globals}
    names = ours | {"loop", "caller", "varargs", "kwargs", "self"}
    names |= {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
    names |= {node.name for node in tree.find_all(nodes.Macro)}
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load" and node.name not in names:
            near = get_close_matches(node.name, sorted(ours), n=1)
            hint = f"did you mean {near[0]}?" if near else "docs/notifications.md lists the names"
            raise InvalidValue(f"line {node.lineno} of the template: there is no {node.name[:60]!r}: {hint}")


def _mustache(source: str) -> str | None:
    """What to write instead of Kener's Mustache; None when there is none."""
    match = _MUSTACHE.search(source)
    if match is None:
        return None
    name = match["name"] or "name"
    instead = {
        "#": f"{{% if {name} %}}",
        "/": "{% endif %}",
        "^": f"{{% if not {name} %}}",
        "&": f"{{{{ {name} }}}}",
        None: "{{ name }}",
    }.get(match["sigil"], "{# … #} for a comment")
    line = source.count("\n", 0, match.start()) + 1
    written = match.group().strip() + ("…" if match["sigil"] is None else "}}")
    return f"line {line} of the template: {written} is Mustache, but templates are Jinja2: write {instead}"


def _line_of(error: BaseException) -> str:
    """Where in the template: Jinja2 puts its lines into the traceback."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line} of the template: " if line else "the template: "


def _explained(error: Exception) -> str:
    """In a few words, without the values that Python's errors may quote."""
    if isinstance(error, SecurityError):
        return f"not allowed: {str(error)[:120]}"
    name = type(error).__name__
    text = str(error).partition("\n")[0]
    if name == "UndefinedError":
        return text[:160]
    return f"it cannot be evaluated ({name})"


def made_template(value: object, kind: Kind = "text", escape: Escape | None = None) -> Template:
    """Of what stands in a configuration; raises InvalidValue."""
    if isinstance(value, Template):
        return value
    if not isinstance(value, str):
        raise InvalidValue("must be a string: put it in quotes, or after | on lines of its own")
    if not value.strip():
        raise InvalidValue("is empty: write a template or leave it out")
    return Template(value, kind, escape)


def read_template(kind: Kind = "text", escape: Escape | None = None) -> PlainValidator:
    """For a field of an options model: `Annotated[Template, read_template(…), *TEMPLATE]`."""
    return PlainValidator(lambda value: made_template(value, kind, escape))


def worded(template: Template | None, message: Message, otherwise: str) -> str:
    """What the template says, or else `otherwise`: a template that fails after all must not swallow an alarm."""
    if template is None:
        return otherwise
    try:
        made = template.render(message).strip() or otherwise
        return made if made[:1] == "<" else marked(made, message)
    except InvalidValue:
        return otherwise


TEMPLATE = (
    PlainSerializer(repr, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_SOURCE}),
)
TemplateText = Annotated[Template, read_template(), *TEMPLATE]
"""In an options model: a template of plain text."""
JsonTemplateText = Annotated[Template, read_template("json"), *TEMPLATE]
HtmlTemplateText = Annotated[Template, read_template("html"), *TEMPLATE]
