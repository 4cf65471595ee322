"""The quick reader of samples that live tests poll with reads what Prometheus's own parser reads."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.samples import read_samples

GOLDEN = Path(__file__).parent.parent / "golden" / "metrics.txt"


def parsed(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_reads_the_whole_exposition() -> None:
    samples = read_samples(GOLDEN.read_text())
    assert len(samples) > 50
    assert {key: str(value) for key, value in samples.items()} == {
        key: str(value) for key, value in parsed(GOLDEN.read_text()).items()
    }


@given(st.text(alphabet='a9"\\\n\t ,={}é#', max_size=12), st.text(alphabet='n"\\\n}{', max_size=5), st.floats())
def test_it_reads_any_label_and_any_value(first: str, second: str, value: float) -> None:
    registry = CollectorRegistry()
    Gauge("g", "help", ["b", "a"], registry=registry).labels(b=first, a=second).set(value)
    ((key, read),) = read_samples(generate_latest(registry).decode()).items()
    assert key == ("g", second, first)
    assert read == value or (math.isnan(read) and math.isnan(value))
