"""Style, script and icon, and the programs for the machines of jobs."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import falcon
import falcon.asgi

import exporter.run
from exporter.web.etags import answer_unless_known
from exporter.web.pages.rendering import Assets
from exporter.web.requests import WebRequest


class Program(NamedTuple):
    """A program for the machines of jobs, which hosts without the package fetch."""

    read: Callable[[], bytes]
    """Reads files: programs are asked for too rarely to be kept in memory."""
    content_type: str


def _python() -> bytes:
    from exporter.run.bundle import bundle

    return bundle().encode()


def _sh() -> bytes:
    return (Path(exporter.run.__file__).parent / "heartbeat.sh").read_bytes()


PROGRAMS = {
    "heartbeat-run": Program(_python, "text/x-python; charset=utf-8"),
    "heartbeat.sh": Program(_sh, "text/x-shellscript; charset=utf-8"),
}
"""By their names under `/static/`."""


class StaticFile:
    """`/static/{name}`."""

    def __init__(self, assets: Assets, executor: Executor) -> None:
        self._assets = assets
        self._executor = executor

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, name: str, **_: Any) -> None:
        program = PROGRAMS.get(name)
        if program is not None:
            content = await asyncio.get_running_loop().run_in_executor(self._executor, program.read)
            resp.content_type = program.content_type
            resp.set_header("cache-control", "no-cache")  # its name stays when its content changes
            answer_unless_known(req, resp, content)
            return
        loaded = self._assets.find(name)
        if loaded is None:
            raise falcon.HTTPNotFound
        asset, same = loaded
        resp.content_type = asset.content_type
        resp.set_header("cache-control", "public, max-age=31536000, immutable" if same else "no-store")
        resp.data = asset.content

    on_head = on_get
