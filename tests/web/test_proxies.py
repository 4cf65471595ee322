"""Whose address is believed, and whose is not."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.proxies import client_address, client_scheme

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("192.168.1.1/32"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),  # a stranger says so
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # what is left of a stranger is his own word
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("10.0.0.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),  # all ours: the farthest
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("fd00::5", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("", "203.0.113.9", ""),  # a Unix socket has no address to trust
    ],
)
def test_the_rightmost_hop_we_do_not_know_is_the_client(peer: str, forwarded: str | None, client: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == client


@given(st.text(max_size=60), st.text(max_size=400))
def test_garbage_is_taken_calmly(peer: str, forwarded: str) -> None:
    assert isinstance(client_address(peer, forwarded, TRUSTED), str)
    assert client_address(peer, forwarded, ()) == peer


@given(st.lists(st.ip_addresses().map(str), max_size=6), st.ip_addresses(v=4).map(str))
def test_nobody_outside_chooses_the_address(claims: list[str], client: str) -> None:
    """Whatever a client writes into the header, the proxy appends whom it saw."""
    trusted = (ip_network("10.0.0.0/8"),)
    seen = client_address("10.0.0.1", ", ".join([*claims, client]), trusted)
    if not client.startswith("10."):
        assert seen == client


def test_many_hops_cost_nothing() -> None:
    assert client_address("10.0.0.1", "10.0.0.2," * 100_000 + "10.0.0.3", TRUSTED) == "10.0.0.2"


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTPS", "https"),
        ("203.0.113.9", "https", "http"),
        ("10.0.0.1", "javascript", "http"),
        ("10.0.0.1", None, "http"),
    ],
)
def test_the_scheme_is_believed_alike(peer: str, said: str | None, scheme: str) -> None:
    assert client_scheme(peer, "http", said, TRUSTED) == scheme
