"""Samples of the Prometheus text format, read for tests that ask for them many times a second."""

import re

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\(.)")
ESCAPED = {"n": "\n"}


def read_samples(text: str) -> dict[tuple[str, ...], float]:
    """Values by (name of the sample, values of its labels in the order of the labels' names).

    `tests/metrics/test_samples.py` holds it against Prometheus's own parser, which takes ten times as long.
    """
    return {
        (name, *(_unescaped(label) for _, label in sorted(LABEL.findall(labels)))): float(value)
        for name, labels, value in SAMPLE.findall(text)
    }


def _unescaped(label: str) -> str:
    return ESCAPE.sub(lambda escape: ESCAPED.get(escape[1], escape[1]), label) if "\\" in label else label
