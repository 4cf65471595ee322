"""Wrong credentials are slowed by address and summed up in the log; the table is bounded."""

import logging

import pytest

from exporter.core.clock import MINUTE, SECOND
from exporter.ingest.guesses import (
    BURST,
    INTERVAL,
    MAX_ADDRESSES,
    MAX_DELAY,
    MAX_LINES,
    Guesses,
    network_of,
)
from tests.conftest import ManualClock


def test_a_few_are_answered_at_once_and_then_five_a_second(clock: ManualClock) -> None:
    guesses = Guesses(clock)
    assert [guesses.delay("192.0.2.1") for _ in range(BURST)] == [0] * BURST
    assert [guesses.delay("192.0.2.1") for _ in range(3)] == [INTERVAL, 2 * INTERVAL, 3 * INTERVAL]
    assert guesses.delay("192.0.2.2") == 0
    for _ in range(1000):
        assert guesses.delay("192.0.2.1") <= MAX_DELAY
    clock.advance(MAX_DELAY + BURST * INTERVAL)
    assert [guesses.delay("192.0.2.1") for _ in range(BURST)] == [0] * BURST
    assert guesses.delay("192.0.2.1") == INTERVAL


def test_a_job_with_an_old_secret_is_never_slowed(clock: ManualClock) -> None:
    guesses = Guesses(clock)
    for _ in range(100):
        assert guesses.delay("192.0.2.1") == 0
        clock.advance(SECOND)


def test_one_sender_with_many_connections_gets_no_more(clock: ManualClock) -> None:
    """64 connections, each of which guesses again as soon as it has its answer, for a minute."""
    guesses = Guesses(clock)
    waiting = [guesses.delay("192.0.2.1") for _ in range(64)]
    answers = 0
    for _ in range(MINUTE // 50):
        clock.advance(50)
        waiting = [left - 50 for left in waiting]
        for index, left in enumerate(waiting):
            if left <= 0:
                answers += 1
                waiting[index] = guesses.delay("192.0.2.1")
    assert answers < 60 * 20


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_who_is_one_client(client: str, network: str) -> None:
    assert network_of(client) == network


def test_the_table_is_bounded(clock: ManualClock) -> None:
    guesses = Guesses(clock)
    for number in range(3 * MAX_ADDRESSES):
        guesses.delay(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(guesses._addresses) == MAX_ADDRESSES


def test_the_log_has_the_first_of_a_minute_and_a_sum(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    guesses = Guesses(clock)
    with caplog.at_level(logging.INFO, "exporter.ingest"):
        for _ in range(5000):
            guesses.tell("heartbeat refused: wrong secret", "192.0.2.1")
        guesses.tell("heartbeat refused: unknown tag", "2001:db8::1")
        guesses.tell("heartbeat refused: unknown tag", "2001:db8::2")
        assert caplog.messages == [
            "heartbeat refused: wrong secret, from 192.0.2.1",
            "heartbeat refused: unknown tag, from 2001:db8::1",
        ]
        caplog.clear()
        clock.advance(MINUTE)
        guesses.tell("heartbeat refused: wrong secret", "192.0.2.1")
        assert caplog.messages == [
            "5,000 more requests were refused in the last minute: 4,999 from 192.0.2.1, 1 from 2001:db8::/64",
            "heartbeat refused: wrong secret, from 192.0.2.1",
        ]
        caplog.clear()
        guesses.sum_up()
        assert caplog.messages == []


def test_many_addresses_write_no_more(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    guesses = Guesses(clock)
    with caplog.at_level(logging.INFO, "exporter.ingest"):
        for number in range(10_000):
            guesses.tell("heartbeat refused: wrong secret", f"10.0.{number >> 8}.{number & 255}")
        assert len(caplog.messages) == MAX_LINES
        caplog.clear()
        guesses.sum_up()
        assert caplog.messages == [f"{10_000 - MAX_LINES:,} more requests were refused in the last minute"]
