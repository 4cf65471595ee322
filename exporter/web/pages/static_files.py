"""Style, script and icon."""

from typing import Any

import falcon
import falcon.asgi

from exporter.web.pages.rendering import Assets
from exporter.web.requests import WebRequest


class StaticFile:
    """`/static/{name}`."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    async def on_get(self, req: WebRequest, resp: falcon.asgi.Response, name: str, **_: Any) -> None:
        loaded = self._assets.find(name)
        if loaded is None:
            raise falcon.HTTPNotFound
        asset, same = loaded
        resp.content_type = asset.content_type
        resp.set_header("cache-control", "public, max-age=31536000, immutable" if same else "no-store")
        resp.data = asset.content

    on_head = on_get
