"""Runs the program as a plain installation has it: what only development needs is hidden.

Some libraries use others where they find them, structlog for example greenlet and rich, and take megabytes for it.
"""

import re
import sys
from importlib.metadata import distribution, packages_distributions


def needed(name: str) -> set[str]:
    """The distributions that `pip install name` brings, by their names in lower case with dashes."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        one = _plain(ahead.pop())
        if one not in found:
            found.add(one)
            ahead += [
                re.split(r"[^\w.-]", line, maxsplit=1)[0]
                for line in distribution(one).requires or ()
                if "extra ==" not in line and "sys_platform" not in line and "python_version <" not in line
            ]
    return found


def hidden() -> set[str]:
    """Top-level modules that are installed here and would not be there."""
    brought = needed("heartbeat-exporter") | needed("psycopg-binary") | needed("psycopg")  # with the extra postgres
    return {
        module
        for module, distributions in packages_distributions().items()
        if not brought & set(map(_plain, distributions)) and module.isidentifier() and module not in sys.modules
    }


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    for module in hidden() - {"bench", "tests"}:
        sys.modules[module] = None  # type: ignore[assignment]
    from exporter.cli.main import main

    main()
