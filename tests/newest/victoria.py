"""VictoriaMetrics in Prometheus's place: vmagent scrapes and writes, victoria-metrics keeps and answers."""

import json
from pathlib import Path

from tests.live.conftest import curl, eventually, fetch
from tests.live.test_prometheus import Prometheus
from tests.support.ports import free_port

DATABASE = ("-retentionPeriod=1d", "-search.latencyOffset=0s", "-search.disableCache", "-inmemoryDataFlushInterval=1s")
"""By default, queries leave out the last 30 seconds: too long for a test."""
AGENT = ("-remoteWrite.flushInterval=200ms",)


class Victoria(Prometheus):
    """Asked like Prometheus, at the same paths."""

    def _start(self, config: Path) -> None:
        agent = free_port()
        address = self.url.removeprefix("http://")
        self._run("victoria-metrics", f"-storageDataPath={self._folder}/data", f"-httpListenAddr={address}", *DATABASE)
        eventually(lambda: fetch(f"{self.url}/health").status == 200)
        self._run(
            "vmagent",
            f"-promscrape.config={config}",
            f"-remoteWrite.url={self.url}/api/v1/write",
            f"-remoteWrite.tmpDataPath={self._folder}/agent",
            f"-httpListenAddr=127.0.0.1:{agent}",
            *AGENT,
        )
        targets = f"http://127.0.0.1:{agent}/api/v1/targets"
        eventually(lambda: json.loads(curl(targets).body)["data"]["activeTargets"])
