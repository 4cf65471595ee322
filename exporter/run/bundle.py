"""`heartbeat-run` as one file, for hosts without the package: its modules one after the other."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

_FOLDER = Path(__file__).parent
MODULES = (
    "notices",
    "options",
    "destination",
    "output",
    "daemons",
    "job",
    "reports",
    "client",
    "sender",
    "lock",
    "metrics",
    "wrapper",
)
"""Each imports only those before it."""
_HEAD = '''#!/usr/bin/env python3
"""Runs a job and reports its start, end, exit code and output to Heartbeat Exporter: see --help.

Standard-library Python 3.8 or newer, for POSIX systems. What is needed before the job's first instruction is imported
at the top, and everything else while the job runs.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # the folder of this file: no other file in it is a module of ours

'''
_FOOT = """

if __name__ == "__main__":
    command()
"""


def bundle() -> str:
    """Returns the file. It needs only Python 3.8 or newer."""
    imports: set[str] = set()
    types: set[str] = set()
    parts = []
    for name in MODULES:
        source = (_FOLDER / f"{name}.py").read_text(encoding="utf-8")
        module = ast.parse(source)
        lines = source.splitlines()
        title = module.body[0]
        for node in module.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                if isinstance(node, ast.Import):
                    imports.add(ast.unparse(node))
            elif isinstance(node, ast.If):
                types.update(_single_imports(node.body))
            else:
                continue
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or 0) - node.lineno + 1)
        lines[: title.end_lineno] = [""] * (title.end_lineno or 0)
        text = "\n".join(line for line in lines if line != "TYPE_CHECKING = False")
        parts.append(f"# {(ast.get_docstring(module) or '').splitlines()[0]}\n\n\n{text.strip()}\n")
    top = "\n".join(sorted(imports - {"import sys"}))
    checking = "\n".join(f"    {line}" for line in sorted(types))
    head = f"{_HEAD}{top}\n\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n{checking}\n\n\n"
    return head + "\n\n".join(parts) + _FOOT


def _single_imports(nodes: Sequence[ast.stmt]) -> Iterator[str]:
    """Splits imports of several names, so that each is there once."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield from (f"from {node.module} import {alias.name}" for alias in node.names)
        else:
            yield ast.unparse(node)


if __name__ == "__main__":
    print(bundle(), end="")  # noqa: T201 - it is what `python -m exporter.run.bundle > heartbeat-run` is for
