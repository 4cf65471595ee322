"""Prints pip constraints that hold every dependency in setup.cfg, the tests' too, at its lower bound."""

import re
from configparser import ConfigParser
from pathlib import Path

config = ConfigParser()
config.read(Path(__file__).parent.parent / "setup.cfg")
for requirements in (config["options"]["install_requires"], config["options.extras_require"]["test"]):
    for name, lowest in re.findall(r"^([\w.-]+)>=([\d.]+)", requirements, re.M):
        print(f"{name}=={lowest}")
