"""Mail goes by SMTP."""

from tests.notify.entries import Entry

ENTRY = Entry(
    options=lambda url: {
        "host": "127.0.0.1",
        "username": "u",
        "password": "password-of-the-test",
        "from": "hb@example.org",
        "to": "ops@example.org",
    },
    secrets=("password-of-the-test",),
    not_by_http="SMTP: tests/live/test_email.py",
)
