"""The pages in a real browser: light, dark and on a phone; no violation of the policy, nothing that overflows."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from exporter import __version__
from tests.live.conftest import ROOT, eventually, fetch, free_port
from tests.support.tools import need_tool

pytestmark = pytest.mark.live
PICTURE = 1240
"""Pixels across."""
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@contextmanager
def serving(world: str) -> Iterator[str]:
    """The web application over a scene, at a moment that stands still."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "asgi", "--no-control-socket", "-b", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, f"tests.support.scenes:app({world!r})"], cwd=ROOT, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: fetch(f"{url}/-/healthy").status == 200)
        yield url
    finally:
        process.terminate()
        process.wait(40)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Monitors in every status, and what alerting makes of them."""
    with serving("alarmed") as url:
        yield url


@pytest.fixture(scope="module")
def sites() -> Iterator[Callable[[str], str]]:
    """The same over other worlds, each started when it is first asked for."""
    with ExitStack() as stack:
        started: dict[str, str] = {}

        def of(world: str) -> str:
            if world not in started:
                started[world] = stack.enter_context(serving(world))
            return started[world]

        yield of


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_tool("chromium"), args=QUIET)
        yield browser
        browser.close()


LOOKS = [(1100, "light"), (1100, "dark"), (360, "light"), (360, "dark")]
INSETS = """
    Array.from(document.querySelectorAll(".card > h1, .card > h2"), heading => [heading, heading.parentElement]
        .map(box => parseFloat(getComputedStyle(box).paddingLeft)).reduce((a, b) => a + b))
"""
"""Of each heading of a box: pixels between the edge and the text."""
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
    "/refusals": 200,
    "/docs/": 200,
    "/docs/configuration": 200,  # wide tables
    "/docs/incidents": 200,  # a picture
    "/docs/architecture": 200,  # deep lists and long lines of code
    "/docs/runbooks/HeartbeatDown": 200,
    "/docs/none": 404,
}
OTHERS = [
    ("every_status", "/", 200),
    ("every_status", "/incidents", 200),
    ("many", "/", 200),
    ("many", "/incidents", 200),
    ("undelivered", "/", 200),
    ("been_away", "/", 200),
    ("been_away", "/monitors/search-reindex", 200),
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
    assert min(page.evaluate(INSETS), default=12) >= 12, "a heading that touches the edge of its box"
    pictures = Path(os.environ.get("PICTURES", tmp_path))
    name = path.strip("/?").replace("/", "-").replace("=", "-") or "page"
    page.screenshot(path=pictures / f"{scene}-{name}-{scheme}-{width}.png", full_page=True)
    assert page.title()
    page.close()


@pytest.mark.parametrize(
    ("document", "picture", "path", "scheme"),
    [
        ("README.md", "docs/status-page.png", "/", "light"),
        ("README.md", "docs/status-page-dark.png", "/", "dark"),
        ("docs/incidents.md", "incident.png", "/incidents/2", "light"),
    ],
)
def test_the_pictures_in_the_documents(
    browser: Browser, tmp_path: Path, document: str, picture: str, path: str, scheme: Any
) -> None:
    """Their files are not compared, for fonts differ; `PICTURES=docs` takes them anew."""
    assert picture in (ROOT / document).read_text()
    name = Path(picture).name
    with serving("as_it_is") as site:
        page = browser.new_page(viewport={"width": PICTURE, "height": 800}, color_scheme=scheme)
        page.goto(site + path, wait_until="networkidle")
        assert page.get_by_text(f"Heartbeat Exporter {__version__}").count() == 1
        taken = page.screenshot(path=Path(os.environ.get("PICTURES", tmp_path)) / name, full_page=True)
        page.close()
    kept = (ROOT / "docs" / name).read_bytes()
    assert taken[16:20] == kept[16:20], "the picture has another width: take it anew with PICTURES=docs"


@pytest.mark.parametrize("width", [1280, 820, 360])
def test_the_longest_names_leave_the_page_readable(browser: Browser, tmp_path: Path, width: int) -> None:
    pictures = Path(os.environ.get("PICTURES", tmp_path))
    page = browser.new_page(viewport={"width": width, "height": 800})
    with serving("longest_names") as site:
        for path in ("/", "/monitors/" + "W" * 128, "/monitors/" + "w" * 128):
            page.goto(site + path, wait_until="networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide - width} px too wide"
            tall = page.evaluate("Math.max(0, ...Array.from(document.querySelectorAll('.row'), r => r.offsetHeight))")
            assert tall <= 260, f"a row of {tall} px"
            heading = page.evaluate("Math.max(...Array.from(document.querySelectorAll('h2'), h => h.offsetHeight))")
            assert heading <= 200, f"a heading of {heading} px: letter under letter"
            page.screenshot(path=pictures / f"longest-{len(path)}-{path[-1:].strip('/')}-{width}.png", full_page=True)
    page.close()


def test_without_monitors_the_page_tells_how_to_begin(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    with serving("nothing") as site:
        page.goto(site, wait_until="networkidle")
        assert page.get_by_text("heartbeat-exporter monitor add nightly-backup").is_visible()
        hero, card = (page.locator(part).bounding_box() for part in (".hero", ".card"))
    assert hero is not None
    assert card is not None
    assert card["y"] - (hero["y"] + hero["height"]) >= 10, "the two boxes touch"
    page.close()


def test_the_page_refreshes_itself_and_works_without_scripts(site: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    assert page.locator("text=Nightly backup").count() == 1
    assert page.locator("meta[http-equiv=refresh]").count() == 1 or "refresh" in page.content()
    context.close()
