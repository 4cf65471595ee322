"""A fleet in YAML: the first start, one with a file that has not changed, reloads, and heartbeats meanwhile."""

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.databases import Store, tag_of
from bench.open_loop import open_loop
from bench.processes import SECRET, Server, exporter, high_water
from bench.row import Row


def write(file: Path, monitors: int, name: str = "Job number") -> None:
    """Monitors with name, group, schedule and a label; `name` is what the last one is called."""
    with file.open("w") as out:
        out.write("monitors:\n")
        for number in range(monitors):
            called = name if number == monitors - 1 else "Job number"
            out.write(
                f"  - tag: {tag_of(number)}\n    name: {called} {number}\n    secret: {SECRET}\n"
                f'    group: group{number % 20}\n    schedule: "{number % 60} * * * *"\n'
                f"    labels: {{team: team{number % 7}}}\n"
            )


def fleet(store: Store, folder: Path, monitors: int) -> Iterator[Row]:
    url, file = store.make("files"), folder / "fleet.yml"
    write(file, monitors)
    with exporter(url, file) as service:
        note = f"{file.stat().st_size / 1e6:.0f} MB; worker {high_water(service.worker()) / 1e6:.0f} MB at most"
        yield Row(f"start to ready, {monitors:,} monitors in YAML, first", service.seconds_to_ready, "s", 15, note=note)
    with exporter(url, file) as service:
        yield Row("… with a file that has not changed", service.seconds_to_ready, "s", 10)
        yield Row("… reload, unchanged", reload(service), "s", 15)
        write(file, monitors, "Another name")
        yield Row("… reload, one monitor changed", reload(service), "s", 15)
        write(file, monitors, "Yet another name")
        times: list[float] = []
        reloading = threading.Thread(target=lambda: times.append(reload(service)))
        reloading.start()
        rate = monitors / 60
        meanwhile = open_loop(service.url, rate, 15)
        reloading.join(120)
        note = f"{rate:,.0f}/s, the reload took {times[0]:.1f} s"
        yield Row("… 99th percentile of heartbeats meanwhile", meanwhile.p99, "ms", 100, note=note)
        memory = high_water(service.worker()) / monitors / 1000
        yield Row("… memory of each monitor, at most", memory, "kB", 4, note="of the whole process")


def reload(service: Server) -> float:
    """Seconds."""
    began = time.perf_counter()
    command = ["curl", "-sSf", "-m", "110", "-X", "POST", f"{service.url}/-/reload"]
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - began
