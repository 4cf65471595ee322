"""Imports into a running service: senders of other systems change the host alone, and are understood."""

from pathlib import Path

import pytest

from tests.importing import test_healthchecks, test_kener, test_uptime_kuma
from tests.importing.conftest import write
from tests.live.conftest import Starter, curl, eventually

pytestmark = pytest.mark.live


def test_senders_keep_their_urls(start: Starter, tmp_path: Path) -> None:
    service = start("monitors: []\n")
    for product, tables in (
        ("healthchecks", test_healthchecks.TABLES),
        ("kener", test_kener.TABLES),
        ("uptime-kuma", test_uptime_kuma.TABLES),
    ):
        service.cli("import", product, str(write(tmp_path / f"{product}.db", tables)), "--apply")
    # The configuration's `$$` is for the file alone.
    secret = f"{test_kener.SECRET}-1".replace("$", "%24")
    urls = {
        "nightly-backup": f"/ping/{test_healthchecks.A}",
        "cron": "/ping/ping-key-of-ops-1234/cron",
        "nightly": f"/ext/heartbeat/nightly:{secret}",
        "Nachtliche-Sicherung-db": f"/api/push/{test_uptime_kuma.TOKEN}0002?status=up&msg=OK",
    }
    for tag, url in urls.items():
        # A running service applies what the command wrote within a second.
        eventually(lambda url=url: curl(f"{service.url}{url}").status == 200)
        assert service.received(tag) == 1
    assert curl(f"{service.url}/ping/ping-key-of-ops-1234/nightly").status == 404, "of another project"
