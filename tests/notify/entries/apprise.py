"""Apprise makes its own requests."""

from tests.notify.entries import Entry

ENTRY = Entry(
    options=lambda url: {"urls": [url.replace("http", "json", 1) + "/path-of-the-test"]},
    secrets=("path-of-the-test",),
    not_by_http="the library makes the requests: tests/notify/test_apprise.py",
)
