"""Reports, and the spool that keeps them until they are delivered."""

from __future__ import annotations

import os
import time

from exporter.run.notices import file_name, notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OUTPUT_TYPE = "text/plain; charset=utf-8"
LONG_AGO = 5.0
"""Seconds after which a report says when it happened, because it did not happen now."""
MAX_SPOOLED = 1_000
"""Reports of one monitor that wait in a spool; the oldest are dropped."""
MAX_AGE = 7 * 86_400.0
"""Seconds that a report waits in a spool: the service takes older ones as of this age."""


class RunReport:
    """One heartbeat: what its URL says, and its body."""

    def __init__(
        self,
        suffix: str,
        rid: str,
        body: bytes,
        settings: Mapping[str, str],
        at: float | None = None,
        content_type: str = OUTPUT_TYPE,
    ) -> None:
        self.suffix = suffix
        """`start`, `log`, `fail` or an exit code."""
        self.rid = rid
        self.body = body
        self.settings = dict(settings)
        self.content_type = content_type
        self.at = time.time() if at is None else at
        """Unix time at which it happened."""
        self.dated = False
        """Whether the service is told when it happened, whatever the delay: so that it counts twice in no case."""
        self.path = ""
        """Its file in the spool."""

    def query(self) -> dict[str, str]:
        query = {"rid": self.rid}
        if self.dated or not -LONG_AGO < time.time() - self.at < LONG_AGO:
            moment = round(self.at * 1000)
            clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1000))
            query["at"] = f"{clock}.{moment % 1000:03d}Z"
        if self.settings:
            query.update(self.settings, create="1")
        return query


class ReportSpool:
    """A monitor's reports that could not be sent yet, a file each."""

    def __init__(self, folder: str, tag: str) -> None:
        """Raises OSError."""
        self._folder = os.path.join(folder, file_name(tag))
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def add(self, report: RunReport) -> None:
        """Returns once the report is on disk. Raises OSError."""
        import base64
        import json

        content = {
            "suffix": report.suffix,
            "rid": report.rid,
            "at": report.at,
            "settings": report.settings,
            "type": report.content_type,
            "body": base64.b64encode(report.body).decode(),
        }
        name = f"{round(report.at * 1000):015d}-{report.rid}-{report.suffix}.json"
        path = os.path.join(self._folder, name)
        temporary = os.path.join(self._folder, f".{name}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        report.path = path
        report.dated = True

    def remove(self, report: RunReport) -> None:
        if report.path:
            try:
                os.unlink(report.path)
            except OSError:
                pass

    def waiting(self, but: str) -> list[RunReport]:
        """The reports of other runs than `but`, oldest first. What is too old, too much or unreadable is dropped."""
        names = sorted(name for name in os.listdir(self._folder) if name.endswith(".json") and name[0] != ".")
        names = [name for name in names if f"-{but}-" not in name]
        reports = []
        for number, name in enumerate(names):
            path = os.path.join(self._folder, name)
            report = self._read(path)
            if report is None or report.at < time.time() - MAX_AGE or number < len(names) - MAX_SPOOLED:
                notice(f"{path} is dropped: it is too old, beyond {MAX_SPOOLED} reports, or damaged")
                try:
                    os.unlink(path)
                except OSError:
                    pass
                continue
            report.path = path
            report.dated = True
            reports.append(report)
        return reports

    def _read(self, path: str) -> RunReport | None:
        import base64
        import json

        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            body = base64.b64decode(content["body"])
            settings = {str(name): str(value) for name, value in content["settings"].items()}
            kind = str(content.get("type", OUTPUT_TYPE))
            return RunReport(str(content["suffix"]), str(content["rid"]), body, settings, float(content["at"]), kind)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
