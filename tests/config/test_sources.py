"""What a configuration is without its monitors, and when it is the same as before."""

from pathlib import Path

import pytest

from exporter.config.load import load_config
from exporter.config.sources import Sources

MONITORS = """monitors:   # all of them
  - tag: a
    secret: 0123456789abcdef

  # a comment
  - {tag: b, secret: 0123456789abcdef, name: "two
      lines"}
"""
OTHERS = "log: {level: debug}\nalerts: [{name: x}]\n"


def excerpt(folder: Path, text: str) -> tuple[int, str, bool]:
    """How many monitors the excerpt has, its log level, and whether the whole may be skipped next time."""
    path = folder / "c.yml"
    path.write_text(text)
    sources = Sources()
    head = load_config(path, {}, sources=sources, excerpt=True).settings
    load_config(path, {}, sources=sources)
    return len(head.monitors), head.log.level, sources.can_be_skipped()


@pytest.mark.parametrize(
    "text",
    [
        MONITORS + OTHERS,
        OTHERS + MONITORS,
        "---\n" + OTHERS + MONITORS + "...\n",
        OTHERS + MONITORS.replace("  - ", "- ").replace("    secret", "  secret"),
        (OTHERS + MONITORS).replace("\n", "\r\n"),
        MONITORS + "\n# the end\n\n" + OTHERS,
        "# monitors: of ours\n" + MONITORS + OTHERS,
    ],
)
def test_a_list_in_block_style_is_cut_out(tmp_path: Path, text: str) -> None:
    assert excerpt(tmp_path, text) == (0, "debug", True)


@pytest.mark.parametrize(
    "text",
    [
        "monitors: [{tag: a, secret: 0123456789abcdef}]\n" + OTHERS,
        '"monitors":\n  - {tag: a, secret: 0123456789abcdef}\n' + OTHERS,
        "monitors:\n  [{tag: a, secret: 0123456789abcdef, name: x&y}]\n" + OTHERS,
    ],
)
def test_what_cannot_be_cut_is_read_whole(tmp_path: Path, text: str) -> None:
    assert excerpt(tmp_path, text) == (1, "debug", False)


def test_what_only_looks_like_a_heading_is_never_skipped(tmp_path: Path) -> None:
    text = 'log: {level: debug}\nalerts: [{name: x, description: "one\nmonitors:\n  two\nthree"}]\n'
    assert excerpt(tmp_path, text)[1:] == ("debug", False)


def test_no_monitors_at_all_and_secrets_in_files(tmp_path: Path) -> None:
    assert excerpt(tmp_path, OTHERS) == (0, "debug", True)
    (tmp_path / "s").write_text("0123456789abcdef")
    assert excerpt(tmp_path, "monitors:\n  - {tag: a, secret_file: s}\n" + OTHERS) == (0, "debug", False)


def test_lines_of_problems_stay_those_of_the_file(tmp_path: Path) -> None:
    from exporter.core.errors import ConfigError

    path = tmp_path / "c.yml"
    path.write_text(MONITORS + "log: {level: loud}\n")
    with pytest.raises(ConfigError) as raised:
        load_config(path, {}, excerpt=True)
    assert raised.value.problems[0].line == MONITORS.count("\n") + 1


def test_the_digest(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("include: [more.yml]\n" + OTHERS)
    (tmp_path / "more.yml").write_text("monitors:\n  - {tag: a, secret: '${A_SECRET}'}\n")

    def digest(key: bytes = b"k" * 16, version: str = "1", **environ: str) -> str:
        sources = Sources()
        load_config(tmp_path / "c.yml", {"A_SECRET": "x", **environ}, sources=sources)
        return sources.digest(key, version, {"A_SECRET": "x", **environ})

    same = digest()
    assert same == digest(OTHER="y")
    others = {digest(b"l" * 16), digest(version="2"), digest(A_SECRET="y")}
    (tmp_path / "more.yml").write_text("monitors:\n  - {tag: b, secret: '${A_SECRET}'}\n")
    others.add(digest())
    (tmp_path / "c.yml").write_text("include: [more.yml]\n")
    others.add(digest())
    assert len(others - {same}) == 5
