"""NO_PROXY is read as curl and Go read it."""

from urllib.parse import urlsplit

import pytest

from exporter.notify.transport.proxies import is_exempt, proxy_for


@pytest.mark.parametrize(
    ("no_proxy", "url", "exempt"),
    [
        ("127.0.0.0/8", "http://127.0.0.1:9093/", True),
        ("127.0.0.0/8", "http://127.255.255.254/", True),
        ("127.0.0.0/8", "http://128.0.0.1/", False),
        ("127.0.0.1/8", "http://127.9.9.9/", True),
        ("10.0.0.0/8,192.168.0.0/16", "https://192.168.3.4/", True),
        ("10.0.0.0/8", "https://host.example.org/", False),
        ("10.0.0.0/33", "https://10.0.0.1/", False),
        ("0.0.0.0/0", "https://10.0.0.1/", True),
        ("0.0.0.0/0", "https://[fd00::1]/", False),
        ("fd00::/8", "http://[fd00::7]:9093/", True),
        ("[fd00::]/8", "http://[fd00::7]/", True),
        ("fd00::/8", "http://[2001:db8::1]/", False),
        ("::1", "http://[::1]:8080/", True),
        ("[::1]", "http://[::1]:8080/", True),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("[::1]:8080", "http://[::1]:8081/", False),
        ("0:0:0:0:0:0:0:1", "http://[::1]/", True),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/", True),
        ("127.0.0.0/8", "http://[::ffff:7f00:1]/", True),
        ("10.1.2.3", "http://10.1.2.3/", True),
        ("10.1.2.3", "http://10.1.2.30/", False),
        ("2.3", "http://10.1.2.3/", False),
        ("10.1.2.3:80", "http://10.1.2.3/", True),
        ("10.1.2.3:80", "https://10.1.2.3/", False),
        ("example.org", "https://example.org/", True),
        ("example.org", "https://hooks.example.org/", True),
        ("example.org", "https://notexample.org/", False),
        (".example.org", "https://hooks.example.org/", True),
        (".example.org", "https://example.org/", True),
        ("*.example.org", "https://a.b.example.org/", True),
        ("*.example.org", "https://example.org/", False),
        ("hooks.*", "https://hooks.example.org/", True),
        ("10.*", "http://10.2.3.4/", True),
        ("EXAMPLE.org", "https://Hooks.Example.ORG/", True),
        ("example.org.", "https://example.org/", True),
        ("example.org", "https://example.org./", True),
        ("example.org:443", "https://example.org/", True),
        ("example.org:443", "http://example.org/", False),
        ("example.org:8443", "https://hooks.example.org:8443/", True),
        ("*", "https://anything.example/", True),
        ("a.example, *", "https://anything.example/", True),
        ("*:8080", "http://anything.example:8080/", True),
        ("*:8080", "http://anything.example/", False),
        ("a.example b.example\tc.example", "http://b.example/", True),
        (" a.example ,  b.example ", "http://b.example/", True),
        ("localhost", "http://localhost:9/", True),
        ("", "http://example.org/", False),
        (",, ,", "http://example.org/", False),
        (".", "http://example.org/", False),
        (":80", "http://example.org/", False),
        ("[", "http://example.org/", False),
        ("/8", "http://10.0.0.1/", False),
    ],
)
def test_exempt(no_proxy: str, url: str, exempt: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    _clear(monkeypatch)
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(urlsplit(url)) == (None if exempt else "http://proxy.example:3128")


def test_a_name_in_lower_case_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _clear(monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", "http://upper.example")
    monkeypatch.setenv("https_proxy", "lower.example:1")
    assert proxy_for(urlsplit("https://example.org/")) == "http://lower.example:1"
    assert proxy_for(urlsplit("http://example.org/")) is None
    monkeypatch.setenv("NO_PROXY", "example.org")
    assert proxy_for(urlsplit("https://example.org/")) is None
    monkeypatch.setenv("no_proxy", "other.example")
    assert proxy_for(urlsplit("https://example.org/")) == "http://lower.example:1"


def test_a_host_that_is_no_name() -> None:
    assert not is_exempt("", 80, "a.example,.")
    assert is_exempt("fe80::1%eth0", 80, "fe80::/10")


def _clear(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
