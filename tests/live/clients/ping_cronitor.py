"""cronitor: the host is all that changes, and it is in one method. Arguments: the service's URL, a key that creates."""

import sys

import cronitor
from cronitor.monitor import Monitor

url, key = sys.argv[1:]
theirs = Monitor._ping_api_url
Monitor._ping_api_url = lambda self: theirs(self).replace("https://cronitor.link", url)
cronitor.api_key = key
monitor = Monitor("new-cronitor")
assert monitor.ping().text == "OK"
assert monitor.ping(state="run", series="a series: 1").text == "OK"
assert monitor.ping(state="complete", series="a series: 1", message="42 files", metrics={"count": 42}).text == "OK"
assert monitor.ping(state="fail", message="ümläut & more").status_code == 200
monitor.ok()


@cronitor.job("new-cronitor")
def job() -> None:
    """Two more: run and complete."""


job()
assert Monitor("elsewhere", api_key="wrong").ping().status_code == 404
