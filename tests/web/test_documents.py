"""`/docs/`: every document that ships with the program, as a page whose links lead somewhere."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from falcon import testing

from exporter.config.settings import AuthSettings, Secret, WebSettings
from exporter.web.headers import HTML, REVALIDATED
from exporter.web.pages.documents import Documents, address
from tests.support.scenes import World

ROOT = Path(__file__).parent.parent.parent
ON_DISK = sorted(str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md"))
BROWSER = {"Accept": "text/html"}
TOKEN = "page-token-0123456789"


@pytest.fixture(scope="module")
def client() -> testing.TestClient:
    return testing.TestClient(World().app())


def get(client: testing.TestClient, path: str, **headers: str) -> testing.Result:
    return client.simulate_get(path, headers={**BROWSER, **headers})


# ── the documents that ship ──────────────────────────────────────────────────────────────────────────────────────


def test_every_document_is_a_page(client: testing.TestClient) -> None:
    assert sorted(path for path in Documents().paths if path.endswith(".md")) == ON_DISK
    assert len(ON_DISK) > 30
    for path in ON_DISK:
        page = get(client, address(path))
        heading = (ROOT / "docs" / path).read_text().partition("\n")[0].removeprefix("# ")
        assert page.status_code == 200, path
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f"<title>{heading} · Heartbeat Exporter</title>" in unescape(page.text)
        assert f">{heading}</h1>" in page.text
        assert "|\n" not in re.sub(r"<pre>.*?</pre>", "", page.text, flags=re.DOTALL), "a table that is shown as text"


def test_every_link_of_every_page_leads_to_a_page_and_a_heading(client: testing.TestClient) -> None:
    pages = {address(path): get(client, address(path)).text for path in ON_DISK}
    followed = 0
    for at, text in pages.items():
        article = text.partition("<article")[2].partition("</article>")[0]
        for link in map(unescape, re.findall(r'(?:href|src)="([^"]*)"', article)):
            if link.startswith(("http://", "https://")):
                continue
            path, _, fragment = link.partition("#")
            target = pages.get((path or at).rstrip("/"))
            if target is None:
                image = get(client, path)
                assert (image.status_code, image.headers["content-type"]) == (200, "image/png"), (at, link)
            elif fragment:
                assert f'id="{fragment}"' in target, (at, link)
            followed += 1
    assert followed > 150


def test_every_link_on_disk_leads_to_a_file_and_a_heading() -> None:
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"]
    for file in files:
        text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\((?!https?:)([^)]*)\)", text):
            path, _, fragment = link.partition("#")
            target = (file.parent / path) if path else file
            assert target.exists(), f"{link} in {file}"
            if fragment:
                rendered = Documents(target.parent).document(target.name).html
                assert f'id="{fragment}"' in rendered, f"{link} in {file}"


def test_the_list_names_every_document() -> None:
    listed = (ROOT / "docs" / "README.md").read_text()
    readme = (ROOT / "README.md").read_text()
    for path in ON_DISK:
        if "/" not in path and path != "README.md":
            assert f"]({path})" in listed, path
            assert f"](docs/{path})" in readme, path
    assert "](runbooks/README.md)" in listed


@pytest.mark.parametrize(
    ("path", "title"), [("/docs", "Documents"), ("/docs/", "Documents"), ("/docs/runbooks/", "Runbooks")]
)
def test_a_folder_is_its_list(client: testing.TestClient, path: str, title: str) -> None:
    assert f">{title}</h1>" in get(client, path).text


def test_every_page_links_to_the_documents(client: testing.TestClient) -> None:
    for path in ("/", "/incidents", "/docs/metrics", "/nowhere"):
        assert '<a href="/docs/">' in get(client, path).text


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/docs/runbooks/HeartbeatDown.md", "/docs/runbooks/HeartbeatDown"),
        ("/docs/README.md", "/docs"),
        ("/docs/runbooks/README.md", "/docs/runbooks"),
    ],
)
def test_the_name_of_a_file_leads_to_its_page(client: testing.TestClient, path: str, target: str) -> None:
    moved = get(client, path)
    assert (moved.status_code, moved.headers["location"]) == (301, target)


# ── what is answered ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "nowhere",
        "README",
        "runbooks/README",
        "Operations",
        "operations.txt",
        "operations/x",
        "__init__.py",
        "__init__",
        "../setup.cfg",
        "../README.md",
        "runbooks/../operations",
        "runbooks/..",
        "./operations",
        "/operations",
        "/etc/passwd",
        "//etc/passwd",
        "..\\..\\etc\\passwd",
        "operations\0",
        "operations\n",
        ".",
        "..",
        "../docs",
        "\udcff",
        "x" * 5000,
    ],
)
def test_what_is_no_document_is_not_found(client: testing.TestClient, path: str) -> None:
    raw = path.encode("utf-8", "surrogateescape")
    for written in {quote(raw), quote(raw, safe="")}:
        answer = get(client, f"/docs/{written}")
        assert answer.status_code == 404, written
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "No document has this address" in client.simulate_get("/docs/nowhere").json["error"]


def test_a_page_is_sent_once_and_then_confirmed(client: testing.TestClient) -> None:
    for path in ("/docs/operations", "/docs", "/docs/incident.png"):
        for coding in ("identity", "gzip"):
            first = get(client, path, **{"Accept-Encoding": coding})
            tag = first.headers["etag"]
            assert first.headers["cache-control"] == dict(REVALIDATED)["cache-control"] == "private, no-cache"
            again = get(client, path, **{"Accept-Encoding": coding, "If-None-Match": f'"x", {tag}'})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
            assert get(client, path, **{"Accept-Encoding": coding, "If-None-Match": '"x"'}).content == first.content
    assert get(client, "/docs/operations").headers["etag"] != get(client, "/docs/api").headers["etag"]


def test_it_has_the_headers_of_a_page(client: testing.TestClient) -> None:
    page = get(client, "/docs/operations")
    for name, value in {**dict(HTML), **dict(REVALIDATED)}.items():
        assert page.headers[name] == value
    head = client.simulate_head("/docs/operations")
    assert (head.status_code, head.content) == (200, b"")
    assert client.simulate_post("/docs/operations").status_code == 405


def test_who_may_read_pages_may_read_documents() -> None:
    guarded = testing.TestClient(World(web=WebSettings(auth=AuthSettings(token=Secret(TOKEN)))).app())
    for path in ("/docs", "/docs/operations", "/docs/incident.png", "/docs/nowhere", "/docs/operations.md"):
        assert guarded.simulate_get(path).status_code == 401
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.simulate_get("/docs/operations", headers=bearer).status_code == 200
    client = testing.TestClient(World().app())
    assert client.simulate_get("/docs/operations", host="evil.example").status_code == 421


def test_an_installation_without_documents_still_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.web.pages.documents.PACKAGE", "exporter.nothing_of_the_kind")
    client = testing.TestClient(World().app())
    assert get(client, "/docs").status_code == 404
    assert get(client, "/").status_code == 200


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────

NASTY = """\
# A <b>title</b> & `code`

<script>alert(1)</script>

[script](javascript:alert(1)) [data](data:text/html,x) [outside](https://example.org/?a=1&b=2#c)
[other](other.md) [heading](below/page.md#two) [folder](below/) [up](../secret.md) [root](/etc/passwd) [self](#twice)
[**bold** file](../deploy/x.service) and [again](other.md)
![picture](below/p.png "a title") <img src=x onerror=alert(1)>

## Twice

## Twice

## Twice

| a | b |
| --- | --- |
| <i>x</i> | `|` |
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "below").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("# Secret\n")
    (docs / "nasty.md").write_text(NASTY)
    (docs / "other.md").write_text("no heading, [back](nasty.md#twice-2)")
    (docs / "below" / "README.md").write_text("# Below\n\n[up](../other.md) [here](page.md)\n")
    (docs / "below" / "page.md").write_text("## Two\n")
    (docs / "below" / "p.png").write_bytes(b"\x89PNG")
    (docs / "code.py").write_text("")
    return docs


def test_nothing_in_markdown_is_taken_as_html(folder: Path) -> None:
    html = Documents(folder).document("nasty.md").html
    for bad in ("<script", "<b>", "<i>", "onerror=alert(1)>", 'href="javascript:', 'href="data:'):
        assert bad not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert Documents(folder).document("nasty.md").title == "A <b>title</b> & code"


def test_links_are_rewritten_to_what_is_served(folder: Path) -> None:
    documents = Documents(folder)
    html = documents.document("nasty.md").html
    assert re.findall(r'href="([^"]*)"', html) == [
        "https://example.org/?a=1&amp;b=2#c",
        "/docs/other",
        "/docs/below/page#two",
        "/docs/below",
        "#twice",
        "/docs/other",
    ]
    assert html.count('class="elsewhere"') == html.count("</span>") == 3
    assert re.search(r'<span class="elsewhere"[^>]*><strong>bold</strong> file</span> and <a href="/docs/other"', html)
    assert '<img src="/docs/below/p.png"' in html
    below = documents.document("below/README.md").html
    assert re.findall(r'href="([^"]*)"', below) == ["/docs/other", "/docs/below/page"]
    assert documents.document("other.md").title == ""


def test_headings_have_names_of_their_own(folder: Path) -> None:
    document = Documents(folder).document("nasty.md")
    assert re.findall(r' id="([^"]*)"', document.html) == ["a-btitleb--code", "twice", "twice-1", "twice-2"]
    assert [heading.id for heading in document.headings] == ["twice", "twice-1", "twice-2"]
    assert Documents(folder).document("below/page.md").headings == ()


def test_only_documents_and_images_are_there(folder: Path) -> None:
    documents = Documents(folder)
    assert set(documents.paths) == {"nasty.md", "other.md", "below/README.md", "below/page.md", "below/p.png"}
    assert [documents.find(name) for name in ("code.py", "code", "", "below", "../secret")] == [
        None,
        None,
        None,
        "below/README.md",
        None,
    ]
