"""The parser of heads and bodies by itself, thousands of times a second: guided by coverage, and by Hypothesis.

libFuzzer needs the extra `fuzz`, which `make fuzz` installs (atheris is there for Python 3.11 to 3.13). Where it is
missing, as in the gate, Hypothesis alone makes requests.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.conftest import CAMPAIGNS, SECONDS
from tests.fuzz.readings import check, read, small_bounds, unreached
from tests.fuzz.test_connection import streams

GUIDED = "FUZZ_SECONDS" in os.environ and importlib.util.find_spec("atheris") is not None
SEEDS = [
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /a?b=c%20d HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"\r\nGET /\xe4 b HTTP/1.0\r\nConnection: keep-alive\r\nA b: c\r\n\t d\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + (b"A: " + b"b" * 50 + b"\r\n") * 4,
    b"GET http://u@h/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
]


@settings(max_examples=int(10 * SECONDS) if GUIDED else 60, deadline=None)
@given(st.integers(0, 255), streams())
def test_however_a_stream_is_cut_it_reads_the_same(cut: int, pieces: list[bytes]) -> None:
    check(bytes([cut]) + b"".join(pieces))


def test_what_is_not_reached_is_noticed() -> None:
    assert len(unreached(lambda: check(b""))) > 100


def test_seeds_reach_what_they_are_for() -> None:
    assert [(len(reading.requests), reading.end) for reading in (read([seed]) for seed in SEEDS)] == [
        (1, "waits"),
        (2, "waits"),
        (2, "waits"),
        (1, "closes"),
        (0, "waits"),
        (1, "closes"),
    ]


if GUIDED:

    @pytest.mark.timeout(0)
    def test_what_coverage_leads_to(tmp_path: Path) -> None:
        corpus = tmp_path / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(SEEDS):
            (corpus / str(number)).write_bytes(b"\x80" + seed)
        seconds = int(SECONDS / CAMPAIGNS)
        options = [f"-max_total_time={seconds}", "-max_len=400", f"-dict={Path(__file__).parent}/http.dict"]
        command = [sys.executable, "-m", "tests.fuzz.guided", str(corpus), *options, f"-artifact_prefix={tmp_path}/"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        report = done.stdout + done.stderr
        assert done.returncode == 0, report[-5000:]
        executed = re.search(r"Done (\d+) runs", report)
        assert executed is not None, report[-5000:]
        assert int(executed[1]) > 100 * seconds
        kept = [path.read_bytes() for path in corpus.iterdir()]
        with small_bounds():
            assert not unreached(lambda: [check(data) for data in kept])
        print(executed[0], f"and {len(kept)} inputs kept", report[-300:])
