"""Prints pip constraints that hold every dependency in setup.cfg, the tests' too, at its lower bound."""

import re
from configparser import ConfigParser
from pathlib import Path

config = ConfigParser()
config.read(Path(__file__).parent.parent / "setup.cfg")
extras = config["options.extras_require"]
for requirements in (config["options"]["install_requires"], extras["postgres"], extras["test"]):
    for name, lowest in re.findall(r"^([\w.-]+)(?:\[\w+\])?>=([\d.]+)", requirements, re.M):
        print(f"{name}=={lowest}")
