"""Fenced blocks of the documents: what they hold, and what their first lines say about running them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent.parent
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
REASONS = {
    "needs systemd": r"\b(systemctl|journalctl)\b",
    "needs root": r"\bsudo\b",
    "needs a cluster": r"\bkubectl\b",
    "needs Docker": r"\bdocker\b",
    "needs Grafana": r"\bgrafana\b",
    "needs VictoriaMetrics": r"\b(victoria-metrics|vmagent|vmalert)\b|^\s*-",
    "needs the job's machine": r"\b(pgrep|strace)\b",
    "needs the kernel's log": r"\bdmesg\b",
    "runs the tests": r"\bmake (check|test)\b",
    "takes minutes": r"\bmake (bench|storm)\b|-m bench\b",
}
"""Why a block is not run, and what each of its commands has to call for that to be true."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    file: Path
    line: int
    """Of its opening fence, from 1."""
    info: str
    """The rest of the opening fence: `sh no-test: needs systemd`."""
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def document(self) -> str:
        return str(self.file.relative_to(ROOT))

    @property
    def language(self) -> str:
        return self.info.split()[0] if self.info else ""

    @cached_property
    def no_test(self) -> str | None:
        """Why the tests do not run it; None is a block that they run."""
        mark = re.search(r"no-test: *(.*)$", self.info)
        return mark[1].strip() if mark else None

    @property
    def exit(self) -> int:
        """The exit status that a reader gets."""
        status = re.search(r"\bexit=(\d+)", self.info)
        return int(status[1]) if status else 0

    @property
    def may_be_empty(self) -> bool:
        """Of a query."""
        return "empty" in self.info.split()

    @property
    def is_output(self) -> bool:
        """Whether it shows what the block before it prints."""
        return self.info == "text output"

    @property
    def commands(self) -> list[str]:
        """Its lines, with those that a backslash continues put together, without comments."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

    @property
    def queries(self) -> list[str]:
        """Of a block of PromQL: one a line, or, where a line is indented, with the lines before it."""
        lines = [re.sub(r"\s+#.*$", "", line) for line in self.text.splitlines() if not line.startswith("#")]
        return [query for query in re.split(r"\n(?!\s+\S)", "\n".join(lines)) if query.strip()]


def documents() -> list[Path]:
    """Every Markdown file that is shipped."""
    folders = ("docs", "examples", "alertmanager", "dashboards", "deploy", "bench")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *files])


def blocks(file: Path) -> list[Block]:
    text = file.read_text()
    return [
        Block(file, text.count("\n", 0, match.start()) + 1, match["info"].strip(), dedent(match["text"]))
        for match in FENCE.finditer(text)
    ]


def every_block(*languages: str) -> Iterator[Block]:
    """Of all documents; of these languages, if any are given."""
    for file in documents():
        for block in blocks(file):
            if not languages or block.language in languages:
                yield block


def shape(shown: str) -> list[re.Pattern[str]]:
    """A pattern for each line of a shown output: `…` is any text, and blanks are any number of blanks."""
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    return [
        re.compile("".join({"…": ".*", " ": r"\s*"}.get(part, re.escape(part)) for part in re.split(r"(…|\s)", line)))
        for line in (re.sub(r"\s+", " ", line) for line in lines)
    ]


def missing_lines(shown: str, printed: str) -> list[str]:
    """The lines of a shown output that a real one does not have in this order."""
    rest = printed.splitlines()
    missing = []
    for pattern in shape(shown):
        place = next((number for number, line in enumerate(rest) if pattern.search(line)), None)
        if place is None:
            missing.append(pattern.pattern)
        else:
            rest = rest[place + 1 :]
    return missing
