"""The pages in a real browser: light, dark and on a phone; no violation of the policy, nothing that overflows."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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
def sites() -> Iterator[Callable[[str], str]]:
    """The web application over fakes, one for each scene: monitors in every status, at a moment that stands still."""
    started: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}

    def of(scene: str) -> str:
        if scene not in started:
            port = free_port()
            command = [sys.executable, "-m", "gunicorn", "-k", "asgi", "--no-control-socket", "-b", f"127.0.0.1:{port}"]
            command.append(f'tests.web_fakes:app("{scene}")')
            started[scene] = (
                f"http://127.0.0.1:{port}",
                subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL),
            )
            eventually(lambda: curl(f"{started[scene][0]}/-/healthy").status == 200)
        return started[scene][0]

    yield of
    for _, process in started.values():
        process.terminate()
        process.wait(40)


@pytest.fixture(scope="module")
def site(sites: Callable[[str], str]) -> str:
    return sites("alarmed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET)
        yield browser
        browser.close()


LOOKS = [(1100, "light"), (1100, "dark"), (360, "light"), (360, "dark")]
ALARMED = {
    "/": 200,
    "/?status=DOWN": 200,
    "/?q=nothing-like-this": 200,
    "/monitors/pg-dump-eu": 200,
    "/monitors/none": 404,
    "/incidents": 200,
    "/incidents/1": 200,  # critical, nobody looks after it
    "/incidents/2": 200,  # acknowledged
    "/incidents/3": 200,  # a long timeline, and texts that would be something else
    "/incidents/99": 404,
}
OTHERS = [
    ("quiet", "/", 200),
    ("quiet", "/incidents", 200),
    ("many", "/", 200),
    ("many", "/incidents", 200),
    ("undelivered", "/", 200),
    ("away", "/", 200),
    ("away", "/incidents", 200),
    ("away", "/incidents/1", 503),
]


@pytest.mark.parametrize(
    ("scene", "path", "status", "width", "scheme"),
    [
        *(("alarmed", path, status, *look) for path, status in ALARMED.items() for look in LOOKS),
        *((*other, *look) for other in OTHERS for look in (LOOKS[0], LOOKS[3])),
    ],
)
def test_pages(
    sites: Callable[[str], str],
    browser: Browser,
    tmp_path: Path,
    scene: str,
    path: str,
    status: int,
    width: int,
    scheme: Any,
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
    answer = page.goto(sites(scene) + path, wait_until="networkidle")
    assert answer is not None
    assert answer.status == status
    if answer.status == 200:
        assert complaints == []
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{wide - width} px too wide"
    pictures = Path(os.environ.get("PICTURES", tmp_path))
    name = path.strip("/?").replace("/", "-").replace("=", "-") or "page"
    page.screenshot(path=pictures / f"{scene}-{name}-{scheme}-{width}.png", full_page=True)
    assert page.title()
    page.close()


def test_the_page_refreshes_itself_and_works_without_scripts(site: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    assert page.locator("text=Nightly backup").count() == 1
    assert page.locator("meta[http-equiv=refresh]").count() == 1 or "refresh" in page.content()
    context.close()
