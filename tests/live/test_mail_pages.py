"""The HTML of mails in a real browser: nothing too wide for a phone, everything readable by day and by night."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from exporter.notify.notifiers.email import html_of
from exporter.notify.samples import nasty_samples, sample
from exporter.presentation.message import Event
from tests.support.tools import need_tool

pytestmark = pytest.mark.live
MESSAGES = [*(sample(event, count=count) for event in Event for count in (1, 3, 30)), *nasty_samples()]
_CONTRASTS = """() => {
  const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgb(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_tool("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_mails_fit_and_can_be_read(browser: Browser, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 700}, color_scheme=scheme, offline=True)
    page = context.new_page()
    for message in MESSAGES:
        page.set_content(html_of(message).encode("utf-8", "replace").decode())
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{message.key} is {wide - 360} px too wide"
        contrasts = page.evaluate(_CONTRASTS)
        assert contrasts
        worst = min(contrasts)
        assert worst[0] >= 4.5, (message.key, worst)
    context.close()


def test_mails_load_nothing_and_run_nothing(browser: Browser) -> None:
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    for message in MESSAGES:
        page.set_content(html_of(message).encode("utf-8", "replace").decode())
        assert page.locator("script, img, link, iframe, form").count() == 0
    assert requests == []
    page.close()
