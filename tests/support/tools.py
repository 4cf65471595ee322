"""Programs that tests need: missing is a failure in CI, and a reason to skip elsewhere."""

import os
import shutil
import subprocess

import pytest


def need_tool(name: str) -> str:
    """Where the program is."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing, and in CI nothing is skipped for want of a program")
        pytest.skip(f"{name} is not installed")
    return found


def run_tool(name: str, *arguments: str, input: str | None = None) -> str:
    """Runs it and fails the test with what it said if it is not content; returns its output."""
    done = subprocess.run(
        [need_tool(name), *arguments], input=input, capture_output=True, text=True, timeout=150, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
