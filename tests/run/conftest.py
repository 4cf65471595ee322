"""The wrapper with a service that listens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receivers import Receiver
from tests.support.runner import Runner, python

__all__ = ["python"]


@pytest.fixture
def service() -> Iterator[Receiver]:
    """Answers 200 to everything, unless a test wants something else."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def runner(tmp_path: Path, python: str, service: Receiver) -> Runner:
    return Runner(tmp_path, python, service.url)
