"""The pages in a real browser: light, dark and on a phone; no violation of the policy, nothing that overflows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.live.conftest import ROOT, curl, eventually, free_port
from tests.tools import need_tool

pytestmark = pytest.mark.live
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The web application over fakes: monitors in every status, at a moment that stands still."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "asgi", "--no-control-socket", "-b", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "tests.web_fakes:app()"], cwd=ROOT, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: curl(f"{url}/-/healthy").status == 200)
        yield url
    finally:
        process.terminate()
        process.wait(40)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET)
        yield browser
        browser.close()


@pytest.mark.parametrize(
    "path", ["/", "/?status=DOWN", "/?q=nothing-like-this", "/monitors/pg-dump-eu", "/monitors/none"]
)
@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (360, "light"), (360, "dark")])
def test_pages(site: str, browser: Browser, tmp_path: Path, path: str, width: int, scheme: Any) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    answer = page.goto(site + path, wait_until="networkidle")
    assert answer is not None
    assert answer.status == (404 if path.endswith("/none") else 200)
    if answer.status == 200:
        assert complaints == []
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{wide - width} px too wide"
    pictures = Path(os.environ.get("PICTURES", tmp_path))
    name = path.strip("/?").replace("/", "-").replace("=", "-") or "page"
    page.screenshot(path=pictures / f"{name}-{scheme}-{width}.png", full_page=True)
    assert page.title()
    page.close()


def test_the_page_refreshes_itself_and_works_without_scripts(site: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    assert page.locator("text=Nightly backup").count() == 1
    assert page.locator("meta[http-equiv=refresh]").count() == 1 or "refresh" in page.content()
    context.close()
