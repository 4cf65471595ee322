"""Which requests are a dialect's: routes, and the table that finds the one of a request.

Every field of a path is taken for a secret unless its route says that it is public, so a dialect that forgets to say
anything leaks nothing: the log's redaction, the reserved paths and the documents are made from routes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from exporter.core.errors import InvalidValue

if TYPE_CHECKING:
    from exporter.ingest.dialect import Dialect, Resource

_TEMPLATE = re.compile(r"(/[A-Za-z0-9._~-]+)((/([A-Za-z0-9._~@-]+|\{[a-z_]+\}))*(/\{[a-z_]+\*\})?)")
_METHOD = re.compile(r"[A-Z]{1,20}")
_SLASH = "(?:/|%2f)"
_AT = "(?:@|%40)"
_SHOWN = r"(?:(?!%2f)[^\s/?\"'<>])+"
"""One segment: where a slash is escaped, what follows it is another one."""
_TO_THE_END = r"[^\s\"'<>]+"


@dataclass(frozen=True, slots=True)
class Route:
    """The requests of one URI template, such as `/ping/{key}/{name}` or `/ext/heartbeat/{rest*}`."""

    methods: Sequence[str]
    """Any other is answered 405. `HEAD` and `OPTIONS` count as themselves."""
    template: str
    """Begins with a literal segment. `{name}` is one segment, `{name*}` at the end is all that follows."""
    public: Sequence[str] = ()
    """Fields of the template that are no secrets, such as a monitor's tag."""
    secret: Sequence[str] = ()
    """Parameters of the query and header fields, besides `Authorization`, that hold secrets."""
    query: str | Sequence[str] | None = None
    """Only requests with this parameter, or with one of these, are this route's; those without go to another route."""

    def __post_init__(self) -> None:
        fields = self.fields
        if not _TEMPLATE.fullmatch(self.template) or len(set(fields)) < len(fields):
            raise InvalidValue(f"{self.template!r} is no template of a route: write /literal/{{field}}/{{rest*}}")
        if not self.methods or not all(map(_METHOD.fullmatch, self.methods)):
            raise InvalidValue(f"the route {self.template} needs the methods that it takes, in upper case")
        if not set(self.public) <= set(fields):
            raise InvalidValue(f"the route {self.template} has no field {sorted(set(self.public) - set(fields))[0]!r}")

    @property
    def fields(self) -> list[str]:
        """The names of the template's fields."""
        return [segment.strip("{*}") for segment in self.template.split("/") if segment.startswith("{")]

    @property
    def wanted(self) -> frozenset[str]:
        """The parameters of the query of which a request needs one; empty if it needs none."""
        return frozenset((self.query,) if isinstance(self.query, str) else self.query or ())

    @property
    def segments(self) -> list[str]:
        return self.template.split("/")[1:]

    def url_pattern(self) -> str:
        """A regular expression: group 1 is what a log may show of one of its URLs, and the rest is not to be shown."""
        shown = ""
        for index, segment in enumerate(self.segments):
            if segment.startswith("{") and segment.strip("{*}") not in self.public:
                return f"({shown}{_SLASH if index else ''}){_TO_THE_END}"
            shown += (_SLASH if index else "") + (_SHOWN if segment.startswith("{") else _literal(segment))
        return rf"({shown}\?){_TO_THE_END}"


class NotAllowed(NamedTuple):
    """The path is a dialect's, and the method is none of its routes'."""

    dialect: "Dialect"
    allowed: Sequence[str]
    resource: bool


class Served:
    """A route of a dialect, ready to be compared."""

    __slots__ = (
        "_literals",
        "_names",
        "_pattern",
        "depth",
        "dialect",
        "methods",
        "prefix",
        "query",
        "resource",
        "rest",
        "route",
    )

    def __init__(self, dialect: "Dialect", route: Route, resource: "Resource | None") -> None:
        self.dialect = dialect
        self.route = route
        self.resource = resource
        """What answers, where it is a management resource and so no heartbeat."""
        self.methods = tuple(route.methods)
        self.query = route.wanted
        *before, last = route.segments
        # Most have literals and one field that takes the rest: no regular expression is needed for those.
        plain = last.endswith("*}") and not any(segment.startswith("{") for segment in before)
        self.prefix = f"/{'/'.join(before)}/" if plain else None
        """What the path begins with, where the rest of it is one field."""
        self.rest = last.strip("{*}") if plain else ""
        places = list(enumerate(route.segments, 1))
        self.depth = 0 if last.endswith("*}") else len(places)
        """How many segments a path must have; 0 where the last field takes all that follow."""
        self._literals = [(place, segment) for place, segment in places if not segment.startswith("{")]
        self._names = [(place, segment.strip("{}")) for place, segment in places if segment.startswith("{")]
        self._pattern = None if self.depth else re.compile("".join(map(_segment_pattern, route.segments)), re.DOTALL)

    def fields(self, path: str, depth: int) -> Mapping[str, str] | None:
        """What `path`, of `depth` segments and without a slash at its end, holds; None if it is not this route's."""
        prefix = self.prefix
        if prefix is not None:
            return {self.rest: path[len(prefix) :]} if path.startswith(prefix) else None
        if self._pattern is not None:
            matched = self._pattern.fullmatch(path)
            return matched.groupdict() if matched is not None else None
        if depth != self.depth:
            return None
        segments = path.split("/")
        for place, literal in self._literals:
            if segments[place] != literal:
                return None
        found = {name: segments[place] for place, name in self._names}
        return found if "" not in found.values() else None


class Routes:
    """The routes of all dialects that are switched on, found by the first segment of a path."""

    def __init__(self, entries: Iterable[tuple["Dialect", Route, "Resource | None"]]) -> None:
        """Raises InvalidValue where two routes want the same requests."""
        self._by_segment: dict[str, tuple[Served, ...]] = {}
        taken: dict[tuple[str, str, frozenset[str]], str] = {}
        for dialect, route, resource in entries:
            for method in route.methods:
                key = (method, _shape(route), route.wanted)
                if key in taken:
                    raise InvalidValue(
                        f"the dialects {taken[key]!r} and {dialect.name!r} both take {method} {route.template}"
                    )
                taken[key] = dialect.name
            segment = route.segments[0]
            known = self._by_segment.get(segment, ())
            entry = Served(dialect, route, resource)
            self._by_segment[segment] = tuple(sorted((*known, entry), key=lambda one: _rank(one.route)))

    def find(self, path: str, method: str, query: bytes) -> "tuple[Served, Mapping[str, str]] | NotAllowed | None":
        """The most literal route that fits, and what the path holds; None for a path that is no dialect's."""
        end = path.find("/", 1)
        entries = self._by_segment.get(path[1:end] if end > 0 else path[1:])
        if entries is None:
            return None
        if path[-1] == "/":
            path = path[:-1]
        depth = 0
        for entry in entries:
            if method in entry.methods:
                prefix = entry.prefix
                if prefix is not None and path.startswith(prefix) and not entry.query:  # as most heartbeats are
                    return entry, {entry.rest: path[len(prefix) :]}
                if entry.depth:
                    depth = depth or path.count("/")
                    if entry.depth != depth:
                        continue
                if not entry.query or _has(query, entry.query):
                    fields = entry.fields(path, depth)
                    if fields is not None:
                        return entry, fields
        return self._refused(entries, path, query)

    @staticmethod
    def _refused(entries: Iterable[Served], path: str, query: bytes) -> NotAllowed | None:
        refused = [
            one
            for one in entries
            if one.fields(path, path.count("/")) is not None and (not one.query or _has(query, one.query))
        ]
        if not refused:
            return None
        dialect = refused[0].dialect
        allowed = dict.fromkeys(name for one in refused if one.dialect is dialect for name in one.route.methods)
        return NotAllowed(dialect, list(allowed), refused[0].resource is not None)

    def takes(self, path: str) -> str | None:
        """The name of a dialect that has a route for `path`, whatever the method and the query."""
        entries = self._by_segment.get(path.split("/")[1], ())
        path = path.removesuffix("/")
        depth = path.count("/")
        return next((entry.dialect.name for entry in entries if entry.fields(path, depth) is not None), None)

    def __iter__(self) -> Iterator[Route]:
        return (entry.route for entries in self._by_segment.values() for entry in entries)


def owner_of(dialects: Iterable["Dialect"]) -> Callable[[str], str | None]:
    """A function that returns the name of the dialect that takes a path; None for a path that no dialect takes."""
    return Routes((dialect, route, None) for dialect in dialects for route in dialect.routes).takes


def _literal(segment: str) -> str:
    return _AT.join(map(re.escape, segment.split("@")))


def _segment_pattern(segment: str) -> str:
    name = segment.strip("{*}")
    if segment.endswith("*}"):
        return f"/(?P<{name}>.+)"
    return f"/(?P<{name}>[^/]+)" if segment.startswith("{") else f"/{re.escape(segment)}"


def _shape(route: Route) -> str:
    return re.sub(r"\{[a-z_]+(\*?)\}", r"{\1}", route.template)


def _rank(route: Route) -> tuple[object, ...]:
    """Literals come before fields, longer templates before shorter ones, conditions before none."""
    kinds = tuple(2 if one.endswith("*}") else 1 if one.startswith("{") else 0 for one in route.segments)
    return kinds, -len(route.segments), not route.wanted


def _has(query: bytes, names: frozenset[str]) -> bool:
    if not query:
        return False
    parts = query.decode("utf-8", "replace").split("&")
    return any(unquote_plus(part.partition("=")[0]) in names for part in parts)
