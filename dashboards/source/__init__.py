"""What builds the dashboards: each board's panels and queries as code, so that names, colours and links agree.

`python -m dashboards.source` (or `make dashboards`) writes the JSON beside this folder. It needs nothing but the
exporter's own core, from which the statuses come. This package is not installed; the JSON is.
"""

from pathlib import Path
from typing import Any

from dashboards.source import detail, overview, service
from dashboards.source.board import render

FOLDER = Path(__file__).parent.parent
"""Where the JSON lives."""
BOARDS = (overview.board, detail.board, service.board)


def build() -> dict[str, dict[str, Any]]:
    """Every dashboard by its file's name."""
    return {f"{model['uid']}.json": model for model in (board() for board in BOARDS)}


def write(folder: Path = FOLDER) -> list[Path]:
    """Writes all of them; returns the files."""
    files = []
    for name, model in build().items():
        file = folder / name
        file.write_text(render(model), encoding="utf-8")
        files.append(file)
    return files
