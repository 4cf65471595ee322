"""Routes: which request is whose, and what of a URL may be shown."""

import re

import pytest

from exporter.core.errors import InvalidValue
from exporter.ingest.dialects.native import NativeDialect
from exporter.ingest.routes import NotAllowed, Route, Routes, Served


class Named(NativeDialect):
    def __init__(self, name: str, *routes: Route) -> None:
        self.name = name
        self.routes = routes


def table(*dialects: Named) -> Routes:
    return Routes((dialect, route, None) for dialect in dialects for route in dialect.routes)


PING = Named(
    "ping",
    Route(("GET", "POST"), "/ping/{token}"),
    Route(("GET",), "/ping/{key}/{name}"),
    Route(("GET",), "/ping/{token}/start"),
    Route(("DELETE",), "/ping/{key}/{name}"),
)
STATE = Named("state", Route(("GET",), "/ping/{key}/{name}", query="state"), Route(("GET",), "/p/{rest*}"))
ROUTES = table(PING, STATE)


def found(path: str, method: str = "GET", query: bytes = b"") -> tuple[str, str, dict[str, str]] | None:
    match = ROUTES.find(path, method, query)
    if match is None:
        return None
    assert isinstance(match, tuple)
    served, fields = match
    assert isinstance(served, Served)
    return served.dialect.name, served.route.template, dict(fields)


def test_the_most_literal_route_is_taken() -> None:
    assert found("/ping/abc") == ("ping", "/ping/{token}", {"token": "abc"})
    assert found("/ping/abc/") == ("ping", "/ping/{token}", {"token": "abc"})
    assert found("/ping/abc/start") == ("ping", "/ping/{token}/start", {"token": "abc"})
    assert found("/ping/abc/job") == ("ping", "/ping/{key}/{name}", {"key": "abc", "name": "job"})
    assert found("/ping/abc/job", "DELETE") == ("ping", "/ping/{key}/{name}", {"key": "abc", "name": "job"})
    assert found("/p/a/b//c/") == ("state", "/p/{rest*}", {"rest": "a/b//c"})


@pytest.mark.parametrize("path", ["/", "", "/ping", "/ping/", "/ping//x", "/p", "/p/", "/pong/x", "/ping/a/b/c"])
def test_other_paths_are_nobodys(path: str) -> None:
    assert found(path) is None


def test_a_parameter_may_decide() -> None:
    for query in (b"state=run", b"x=1&state=run", b"state", b"st%61te=ok"):
        assert found("/ping/abc/job", query=query) == ("state", "/ping/{key}/{name}", {"key": "abc", "name": "job"})
    for query in (b"", b"statement=1", b"x=state"):
        assert found("/ping/abc/job", query=query) == ("ping", "/ping/{key}/{name}", {"key": "abc", "name": "job"})


def test_one_of_several_parameters_may_decide() -> None:
    several = Named("several", Route(("GET",), "/ping/{key}/{name}", query=("a", "b")))
    routes = table(PING, several)
    for query, name in ((b"b=1", "several"), (b"x&a", "several"), (b"c=b", "ping"), (b"", "ping")):
        match = routes.find("/ping/abc/job", "GET", query)
        assert isinstance(match, tuple)
        assert match[0].dialect.name == name
    with pytest.raises(InvalidValue, match="both take"):
        table(several, Named("other", Route(("GET",), "/ping/{x}/{y}", query=("b", "a"))))


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("/open/job/SESAME", "/open/job/<secret>"),
        ("%2Fopen%2Fjob%2FSESAME%2F", "%2Fopen%2Fjob%2F<secret>"),
        ("/open%2fjob/SESAME?x=1", "/open%2fjob/<secret>"),
    ],
)
def test_a_public_field_ends_where_its_segment_does(path: str, hidden: str) -> None:
    pattern = Route(("GET",), "/open/{tag}/{key}", public=("tag",)).url_pattern()
    assert re.sub(f"(?i){pattern}", r"\1<secret>", path) == hidden


def test_other_methods_are_refused_with_those_that_are_taken() -> None:
    refused = ROUTES.find("/ping/abc/job", "PUT", b"")
    assert isinstance(refused, NotAllowed)
    assert (refused.dialect.name, refused.allowed) == ("ping", ["GET", "DELETE"])


@pytest.mark.parametrize(
    "template",
    ["", "/", "x", "/{token}", "/x/{a}/{a}", "/x/{a*}/b", "/x//y", "/x/{A}", "/x/{a}b", "/x y", "/x/"],
)
def test_templates_that_cannot_be(template: str) -> None:
    with pytest.raises(InvalidValue):
        Route(("GET",), template)


def test_routes_that_cannot_be() -> None:
    with pytest.raises(InvalidValue, match="methods"):
        Route((), "/x")
    with pytest.raises(InvalidValue, match="methods"):
        Route(("get",), "/x")
    with pytest.raises(InvalidValue, match="no field 'y'"):
        Route(("GET",), "/x/{a}", public=("y",))


def test_a_path_has_an_owner() -> None:
    assert ROUTES.takes("/ping/a/b") in ("ping", "state")
    assert ROUTES.takes("/p/metrics") == "state"
    assert ROUTES.takes("/metrics") is None
    assert ROUTES.takes("/") is None
