"""Parameters that look like bad news are named; others are not."""

import pytest

from exporter.core.heartbeat import Kind
from exporter.ingest.bad_news import bad_news

BAD = [
    "status=down",
    "status=DOWN",
    "STATUS=Failed",
    "status=1",
    "status=500",
    "state=fail",
    "state=error",
    "result=failure",
    "outcome=ko",
    "success=false",
    "success=0",
    "success=no",
    "ok=0",
    "ok=false",
    "healthy=false",
    "up=0",
    "fail",
    "failed",
    "failed=1",
    "failed=true",
    "fail=",
    "error=disk+full",
    "error=1",
    "err=yes",
    "exit_code=1",
    "exit_code=-1",
    "exit-code=255",
    "ExitCode=3",
    "rc=2",
    "code=1",
    "exit=137",
    "exit=SIGKILL",
    "status_code=2",
    "return_code=1",
    "severity=critical",
    "level=error",
    "event=fail",
    "status=%64own",
    "status=&state=fail",
    "rid=a&status=down",
    "status=degraded",
    "health=timeout",
    "rid=a;success=false",
]
GOOD = [
    "status=up",
    "status=UP",
    "status=OK&msg=OK&ping=",
    "status=0",
    "status=200",
    "state=complete",
    "state=run",
    "success=true",
    "success=1",
    "ok=yes",
    "failed=0",
    "failed=false",
    "error=",
    "error=0",
    "errors=none",
    "exit_code=0",
    "exit_code=00",
    "rc=0",
    "code=200",
    "code=BACKUP",
    "exit_code=",
    "status=",
    "status",
    "rid=fail",
    "msg=down",
    "msg=error",
    "host=down",
    "severity=info",
    "level=info",
    "event=start",
    "type=backup",
    "name=failed",
    "duration=1",
    "create=1",
    "result=success",
    "event=nightly",
]


@pytest.mark.parametrize("query", [*BAD, "x=1&down"])
def test_bad(query: str) -> None:
    said = bad_news(query, Kind.SUCCESS)
    assert said is not None
    assert "is not read: this heartbeat is a success" in said
    assert bad_news(query, Kind.FAILURE) is None
    assert "is a log" in str(bad_news(query, Kind.LOG))


@pytest.mark.parametrize("query", GOOD)
def test_good(query: str) -> None:
    assert bad_news(query, Kind.SUCCESS) is None


def test_what_is_named_is_short_and_printable() -> None:
    said = bad_news("error=" + "%0a%ff\u00e9" * 2000, Kind.SUCCESS)
    assert said is not None
    assert len(said) < 400
    assert said.isprintable()
    assert bad_news("&".join(["exit_code=" + "9" * 400] * 20), Kind.SUCCESS) is not None
