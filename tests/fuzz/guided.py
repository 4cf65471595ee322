"""`python -m tests.fuzz.guided CORPUS OPTIONS`: the parser of heads and bodies under libFuzzer, which keeps each input
that reaches new code and goes on from it. The parser's bounds are small here, so that short inputs reach them.
"""

import asyncio  # noqa: F401  not to be instrumented, so it is imported before
import sys

import atheris

import exporter.core.telemetry

with atheris.instrument_imports():
    import exporter.server.body
    import exporter.server.head  # noqa: F401

from tests.fuzz.readings import check, small_bounds


def main() -> None:
    with small_bounds():
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
