"""The pages in a real browser: light, dark and on a phone; no violation of the policy, nothing that overflows."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page, Request, sync_playwright

from exporter import __version__
from tests.live.conftest import ROOT, eventually, fetch
from tests.support.ports import free_port
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
def sites() -> Iterator[Callable[[str], str]]:
    """The web application over each world, started when it is first asked for."""
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


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """A page that tests use one after the other; a new one each time costs a process and a second of CPU."""
    page = browser.new_page()
    yield page
    page.close()


def look(page: Page, width: int, scheme: Any = "light") -> Page:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    return page


@contextmanager
def complaints_of(page: Page) -> Iterator[list[str]]:
    """What the browser objects to meanwhile: policy violations, errors, requests that fail, scripts that run."""
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def on_dialog(dialog: Dialog) -> None:
        complaints.append(f"a script ran: {dialog.message}")
        dialog.dismiss()

    def on_error(error: Error) -> None:
        complaints.append(str(error))

    def on_failure(request: Request) -> None:
        complaints.append(f"failed: {request.url}")

    listeners: dict[str, Callable[[Any], None]] = {
        "console": on_console,
        "pageerror": on_error,
        "requestfailed": on_failure,
        "dialog": on_dialog,
    }
    for event, listener in listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]
    yield complaints
    for event, listener in listeners.items():
        page.remove_listener(event, listener)


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


def picture(page: Page, name: str) -> None:
    """Takes one only for a person who asked for it by `PICTURES=folder`: the tests do not look at it."""
    if "PICTURES" in os.environ:
        page.screenshot(path=Path(os.environ["PICTURES"]) / name, full_page=True)


@pytest.mark.parametrize(
    ("scene", "path", "status", "width", "scheme"),
    [
        *(("alarmed", path, status, *look) for path, status in ALARMED.items() for look in LOOKS),
        *((*other, *look) for other in OTHERS for look in (LOOKS[0], LOOKS[3])),
    ],
)
def test_pages(
    sites: Callable[[str], str], tab: Page, scene: str, path: str, status: int, width: int, scheme: Any
) -> None:
    look(tab, width, scheme)
    with complaints_of(tab) as complaints:
        answer = tab.goto(sites(scene) + path, wait_until="networkidle")
        assert answer is not None
        assert answer.status == status
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide - width} px too wide"
        assert min(tab.evaluate(INSETS), default=12) >= 12, "a heading that touches the edge of its box"
        name = path.strip("/?").replace("/", "-").replace("=", "-") or "page"
        picture(tab, f"{scene}-{name}-{scheme}-{width}.png")
        assert tab.title()
    if status == 200:
        assert complaints == []


@pytest.mark.parametrize(
    ("document", "picture", "path", "scheme"),
    [
        ("README.md", "docs/status-page.png", "/", "light"),
        ("README.md", "docs/status-page-dark.png", "/", "dark"),
        ("docs/incidents.md", "incident.png", "/incidents/2", "light"),
    ],
)
def test_the_pictures_in_the_documents(
    sites: Callable[[str], str], tab: Page, tmp_path: Path, document: str, picture: str, path: str, scheme: Any
) -> None:
    """Their files are not compared, for fonts differ; `PICTURES=docs` takes them again."""
    assert picture in (ROOT / document).read_text()
    name = Path(picture).name
    look(tab, PICTURE, scheme).goto(sites("as_it_is") + path, wait_until="networkidle")
    assert tab.get_by_text(f"Heartbeat Exporter {__version__}").count() == 1
    taken = tab.screenshot(path=Path(os.environ.get("PICTURES", tmp_path)) / name, full_page=True)
    committed = (ROOT / "docs" / name).read_bytes()
    assert taken[16:20] == committed[16:20], "the picture has another width: take it again with PICTURES=docs"


@pytest.mark.parametrize("width", [1280, 820, 360])
def test_the_longest_names_leave_the_page_readable(sites: Callable[[str], str], tab: Page, width: int) -> None:
    look(tab, width)
    for path in ("/", "/monitors/" + "W" * 128, "/monitors/" + "w" * 128):
        tab.goto(sites("longest_names") + path, wait_until="networkidle")
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide - width} px too wide"
        tall = tab.evaluate("Math.max(0, ...Array.from(document.querySelectorAll('.row'), r => r.offsetHeight))")
        assert tall <= 260, f"a row of {tall} px"
        heading = tab.evaluate("Math.max(...Array.from(document.querySelectorAll('h2'), h => h.offsetHeight))")
        assert heading <= 200, f"a heading of {heading} px: letter under letter"
        picture(tab, f"longest-{len(path)}-{path[-1:].strip('/')}-{width}.png")


def test_without_monitors_the_page_tells_how_to_begin(sites: Callable[[str], str], tab: Page) -> None:
    look(tab, 1100).goto(sites("nothing"), wait_until="networkidle")
    assert tab.get_by_text("heartbeat-exporter monitor add nightly-backup").is_visible()
    hero, card = (tab.locator(part).bounding_box() for part in (".hero", ".card"))
    assert hero is not None
    assert card is not None
    assert card["y"] - (hero["y"] + hero["height"]) >= 10, "the two boxes touch"


def test_the_page_refreshes_itself_and_works_without_scripts(sites: Callable[[str], str], browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(sites("alarmed"))
    assert page.locator("text=Nightly backup").count() == 1
    assert page.locator("meta[http-equiv=refresh]").count() == 1 or "refresh" in page.content()
    context.close()
