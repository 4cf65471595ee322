"""The same stack answering a constant: what the heartbeat bar is a ratio to."""

from typing import Any

import falcon.asgi


class Hello:
    async def on_get(self, req: Any, resp: Any, rest: str) -> None:
        resp.content_type = "application/json"
        resp.data = b'{"status":"OK"}'


app = falcon.asgi.App()
app.add_route("/ext/heartbeat/{rest:path}", Hello())
