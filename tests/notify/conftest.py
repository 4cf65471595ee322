"""What the tests of notifiers share."""

from collections.abc import Iterator

import pytest

from tests.support.receivers import Receiver, answer


@pytest.fixture
def service() -> Iterator[Receiver]:
    """A service that accepts every request with 200."""
    with Receiver(answer(200)) as receiver:
        yield receiver
