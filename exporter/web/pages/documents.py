"""The documents that ship with the program, rendered from Markdown to HTML.

On disk they link to each other by relative paths; a link is rewritten to the address under which its target is served.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PACKAGE = "exporter.docs"
BASE = "/docs"
"""The path below which documents are served."""
_INDEX = "README.md"
"""The document that is served under the name of its folder."""
_PAGE = ".md"
_IMAGES = {".png": "image/png"}
_NOT_IN_A_SLUG = re.compile(r"[^\w -]")
_ELSEWHERE = "In the project's source code; heartbeat-exporter assets export writes most of these files"
_MIN_HEADINGS = 3


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of the second level, for the list of contents."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    html: str
    """Safe: raw HTML of the source is shown as text."""
    headings: tuple[Heading, ...]
    """Empty where a list of contents would be longer than helpful."""


@dataclass(frozen=True, slots=True)
class Image:
    content: bytes
    content_type: str


class Documents:
    """All documents by their path on disk, such as `runbooks/HeartbeatDown.md`.

    The paths are listed once: what a client asks for is only ever compared with them, and never reaches the file
    system. Without the package of documents there are none.
    """

    def __init__(self, root: Traversable | None = None) -> None:
        root = root if root is not None else _package()
        self._files: Mapping[str, Traversable] = {} if root is None else dict(_shipped(root, ""))
        self._by_address = {address(path): path for path in self._files}
        self._rendered: dict[str, Document] = {}
        self._renderer: MarkdownIt | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self._files)

    def find(self, name: str) -> str | None:
        """The path of the document or image that is served as `BASE/name`; None if there is none."""
        return self._by_address.get(f"{BASE}/{name}" if name else BASE)

    def moved(self, name: str) -> str | None:
        """The address of the document whose path on disk is `name`; None if `name` is no such path."""
        return address(name) if name.endswith(_PAGE) and name in self._files else None

    def image(self, path: str) -> Image | None:
        """The image at `path`; None if `path` is a document. Blocks."""
        content_type = _IMAGES.get(posixpath.splitext(path)[1])
        return None if content_type is None else Image(self._files[path].read_bytes(), content_type)

    def document(self, path: str) -> Document:
        """The document at `path`, rendered on the first call and kept: they are few. Blocks."""
        document = self._rendered.get(path)
        if document is None:
            document = self._rendered[path] = self._render(path)
        return document

    def _render(self, path: str) -> Document:
        renderer = self._renderer
        if renderer is None:
            renderer = self._renderer = _renderer()
        tokens = renderer.parse(self._files[path].read_text(encoding="utf-8"))
        title, headings = "", []
        slugs: dict[str, int] = {}
        for place, token in enumerate(tokens):
            if token.type == "heading_open":
                text = _text(tokens[place + 1])
                slug = _unique(_slug(text), slugs)
                token.attrSet("id", slug)
                title = title or text
                if token.tag == "h2":
                    headings.append(Heading(slug, text))
            elif token.children:
                self._rewrite(token.children, path)
        html = renderer.renderer.render(tokens, renderer.options, {})
        return Document(title, html, tuple(headings) if len(headings) >= _MIN_HEADINGS else ())

    def _rewrite(self, tokens: "list[Token]", path: str) -> None:
        """Has links and images among `tokens`, of the document at `path`, lead to where their targets are served."""
        inside: Token | None = None
        for token in tokens:
            if token.type == "link_open":
                target = self._target(str(token.attrGet("href") or ""), path)
                if target is None:
                    inside, token.tag = token, "span"
                    token.attrs = {"class": "elsewhere", "title": _ELSEWHERE}
                else:
                    token.attrSet("href", target)
            elif token.type == "link_close" and inside is not None:
                inside, token.tag = None, "span"
            elif token.type == "image":
                token.attrSet("src", self._target(str(token.attrGet("src") or ""), path) or "")

    def _target(self, href: str, path: str) -> str | None:
        """Where `href` in the document at `path` leads on the service; None for a file that is not served."""
        parts = urlsplit(href)
        if parts.scheme or parts.netloc or not parts.path:
            return href
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path)))
        for candidate in (target, posixpath.normpath(posixpath.join(target, _INDEX))):
            if candidate in self._files:
                return address(candidate) + (f"#{parts.fragment}" if parts.fragment else "")
        return None


def address(path: str) -> str:
    """Under which path of a URL the document at `path` is served.

    >>> address("runbooks/HeartbeatDown.md"), address("runbooks/README.md"), address("README.md")
    ('/docs/runbooks/HeartbeatDown', '/docs/runbooks', '/docs')
    """
    folder, name = posixpath.split(path)
    if name == _INDEX:
        return posixpath.join(BASE, folder).rstrip("/")
    return posixpath.join(BASE, path.removesuffix(_PAGE))


def _package() -> Traversable | None:
    try:
        return files(PACKAGE)
    except ModuleNotFoundError:
        return None


def _shipped(folder: Traversable, at: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = posixpath.join(at, entry.name)
        if entry.is_dir():
            yield from _shipped(entry, path)
        elif posixpath.splitext(path)[1] in (_PAGE, *_IMAGES):
            yield path, entry


def _renderer() -> "MarkdownIt":
    # Imported when the first document is read: the memory of the service at rest is counted.
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    renderer.add_render_rule("table_open", _open_table)
    renderer.add_render_rule("table_close", _close_table)
    return renderer


def _open_table(renderer: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
    """Has a wide table scroll within the page, by keyboard too."""
    return '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n'


def _close_table(renderer: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _text(inline: "Token") -> str:
    return "".join(token.content for token in inline.children or () if token.type in ("text", "code_inline"))


def _slug(text: str) -> str:
    """The name of a heading in links, by the rule of the sites that show Markdown."""
    return _NOT_IN_A_SLUG.sub("", text.lower()).replace(" ", "-")


def _unique(slug: str, slugs: dict[str, int]) -> str:
    count = slugs.get(slug, 0)
    slugs[slug] = count + 1
    return f"{slug}-{count}" if count else slug
