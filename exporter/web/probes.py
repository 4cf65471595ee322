"""`/-/healthy`, `/-/ready` and `/-/reload`."""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import Executor

import falcon
import falcon.asgi

from exporter.core.errors import ConfigError, Problem
from exporter.web.context import Readiness, Reload
from exporter.web.errors import RETRY_AFTER, Refused, without_paths
from exporter.web.requests import WebRequest


class Healthy:
    """The process answers, and all of its threads do their work. Nothing more: a restart would not mend a database that
    is away.
    """

    def __init__(self, health: Readiness) -> None:
        """`health` returns what only a new process can mend, or None."""
        self._health = health

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        reason = self._health()
        if reason is not None:
            raise falcon.HTTPServiceUnavailable(description=f"Not healthy: {reason}.", retry_after=RETRY_AFTER)
        resp.media = {"status": "OK"}

    on_head = on_get


class Ready:
    """Whether heartbeats are taken and the fleet is known."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        reason = self._readiness()
        if reason is not None:
            raise falcon.HTTPServiceUnavailable(
                description=f"Not ready: {without_paths(reason)}.", retry_after=RETRY_AFTER
            )
        resp.media = {"status": "OK"}

    on_head = on_get


class ReloadConfiguration:
    """Reads the configuration file again: all of it, or nothing."""

    def __init__(self, reload: Reload, executor: Executor, explains: Callable[[], bool] = lambda: True) -> None:
        """`explains` returns whether the request has a token: problems name paths and settings."""
        self._reload = reload
        self._explains = explains
        self._executor = executor
        self._one_at_a_time = asyncio.Lock()

    async def on_post(self, req: WebRequest, resp: falcon.asgi.Response) -> None:
        async with self._one_at_a_time:
            try:
                # An async function only makes its coroutine there; it is run here.
                outcome = await asyncio.get_running_loop().run_in_executor(self._executor, self._reload)
                if inspect.isawaitable(outcome):
                    await outcome
            except ConfigError as error:
                if not self._explains():
                    raise falcon.HTTPInternalServerError(
                        description="The configuration is invalid, so the previous one stays in force. The service's "
                        "log lists every problem; so does this response once web.auth.token is set."
                    ) from error
                raise Refused(
                    falcon.HTTP_500,
                    "The configuration is invalid, so the previous one stays in force.",
                    [_problem(problem) for problem in error.problems],
                ) from error
        resp.media = {"status": "OK"}


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "message": problem.message,
        "path": problem.path,
        "file": problem.file,
        "line": problem.line or None,
    }
