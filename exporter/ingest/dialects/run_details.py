"""What senders say of a run: its id, its exit code and how long it took, in the notations of several protocols."""

import math
import re
from collections.abc import Container, Mapping, Sequence
from hashlib import blake2b

from exporter.core.heartbeat import Kind
from exporter.ingest.body import KEPT, output_of
from exporter.ingest.intake import MAX_RUN
from exporter.ingest.request import Request, parameters_of

RID = re.compile(r"[A-Za-z0-9._-]{1,64}")
EXIT_CODE = re.compile(r"-?[0-9]{1,300}")
MAX_EXIT_CODE = 2**63 - 1
_FORM = "application/x-www-form-urlencoded"
_FORM_READ = 256 * 1024
"""Bytes of a form that are read: its fields may stand in any order, and one may be a job's output."""
_NUMBER = re.compile(r"\+?[0-9]{1,30}(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|\+?\.[0-9]{1,30}")


def run_id(given: str) -> str:
    """`given` as runs are paired by it: itself, or a digest where it holds what no run's id of ours can."""
    if not given or RID.fullmatch(given):
        return given
    return blake2b(given.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def outcome_of(text: str) -> tuple[Kind, int | None]:
    """Kind and exit code for a text that matches EXIT_CODE; a failure without one if it is out of range."""
    exit_code = int(text)
    if exit_code == 0:
        return Kind.SUCCESS, 0
    return Kind.FAILURE, exit_code if abs(exit_code) <= MAX_EXIT_CODE else None


def number_of(given: object) -> float | None:
    """A finite number of at least 0, also from a text; None for anything else."""
    if isinstance(given, str):
        given = float(given) if _NUMBER.fullmatch(given) else None
    if isinstance(given, bool) or not isinstance(given, int | float) or given < 0:
        return None
    if isinstance(given, int):
        given = min(given, MAX_RUN)
    return float(given) if math.isfinite(given) else None


def milliseconds_of(seconds: object) -> int | None:
    """Of a number of seconds; None where it is none, or negative."""
    number = number_of(seconds)
    return None if number is None else int(min(number * 1000, MAX_RUN))


def lines_of(*parts: str) -> str:
    """The output of a heartbeat that is made of these; empty ones are left out."""
    text = "\n".join(filter(None, parts))
    if text.isascii() and len(text) <= KEPT:
        return text.replace("\0", "\ufffd")
    return output_of(text.encode("utf-8", "replace"))


async def form_of(request: Request, names: Container[str]) -> tuple[Mapping[str, Sequence[str]], str]:
    """The fields of a body that is a form, as `curl -d name=value` sends it; else none, and the body as the output.

    curl calls any output a form: it is one if it has a field of these names.
    """
    if not request.has_body:
        return {}, ""
    body = await request.body(_FORM_READ)
    if (request.header("Content-Type") or "").partition(";")[0].strip().lower() == _FORM:
        form = parameters_of(body.kept.decode("utf-8", "replace"))
        if any(name in names for name in form):
            return form, ""
    return {}, body.output
