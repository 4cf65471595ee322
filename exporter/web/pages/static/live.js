// Keeps the page current without losing the place: parts marked `data-live` are replaced by what the server
// renders now. Without this script the page reloads itself instead.
"use strict";

const EVERY = 15_000;
let timer = setTimeout(refresh, EVERY);

async function refresh() {
  clearTimeout(timer);
  if (!document.hidden && document.getSelection().isCollapsed) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      document.getElementById("offline").hidden = false;
    }
  }
  timer = setTimeout(refresh, EVERY);
}

function swap(fresh) {
  const focused = document.activeElement.getAttribute("href");
  const open = new Map(Array.from(document.querySelectorAll("details"), (each) => [each.id, each.open]));
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (next) part.replaceWith(document.importNode(next, true));
  }
  document.title = fresh.title;
  for (const details of document.querySelectorAll("details")) {
    if (open.has(details.id)) details.open = open.get(details.id);
  }
  if (focused && document.activeElement === document.body) {
    const again = Array.from(document.links).find((link) => link.getAttribute("href") === focused);
    if (again) again.focus({ preventScroll: true });
  }
}

// Back from another tab, what is shown may be minutes old.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
