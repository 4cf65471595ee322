"""`/docs` and everything below: the documents that ship with the program, as pages."""

import asyncio

import falcon
import falcon.asgi

from exporter.web.context import WebContext
from exporter.web.etags import answer_unless_known
from exporter.web.headers import answer_html
from exporter.web.pages.documents import Documents
from exporter.web.pages.rendering import Pages
from exporter.web.pages.status import made
from exporter.web.requests import WebRequest


class DocumentPage:
    """A document or one of its images. They change with the version only, so each answer has an ETag."""

    def __init__(self, parts: WebContext, pages: Pages, documents: Documents) -> None:
        self._parts = parts
        self._pages = pages
        self._documents = documents

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, path: str = "") -> None:
        source = self._documents.find(path)
        if source is None:
            moved = self._documents.moved(path)
            if moved is not None:
                raise falcon.HTTPMovedPermanently(moved)
            raise falcon.HTTPNotFound(description="No document has this address; /docs/ lists all of them.")
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(self._parts.executor, self._documents.image, source)
        if image is not None:
            resp.content_type = image.content_type
            answer_unless_known(req, resp, image.content)
            return
        body = await made(req, resp, self._parts, self._render, source)
        answer_html(resp, body)
        answer_unless_known(req, resp, body)

    on_head = on_get

    def _render(self, source: str) -> bytes:
        document = self._documents.document(source)
        return self._pages.render("document.html", {"document": document, "index": source == "README.md"})
