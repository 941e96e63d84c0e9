"""Lets nobody in but the browser that was given the address."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An ASGI application before another: refuses with 403, and adds the security headers.

    A request needs the token as the first part of its path, compared in constant time; a Host that
    is this machine's own (a name that another site has bound to 127.0.0.1 is refused); and, where
    it carries an Origin, that of this server. What changes anything must be JSON, which no form of
    another site can send.

    Args:
        app: what answers; it sees the path behind the token.
        token: the secret.
        port: of this server.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        self._app, self._token = app, token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"].encode("utf-8", "surrogateescape")
        token, _, rest = path.removeprefix(b"/").partition(b"/")
        known = secrets.compare_digest(token, self._token)
        if not (known and self._trusted(scope)):
            await send({"type": "http.response.start", "status": 403, "headers": _headers([])})
            await send({"type": "http.response.body", "body": b"Forbidden.\n"})
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _headers(message.get("headers", []))}
            await send(message)

        inner = "/" + rest.decode("utf-8", "surrogateescape")
        await self._app({**scope, "path": inner}, receive, sealed)

    def _trusted(self, scope: Message) -> bool:
        headers = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        kinds = [value for name, value in headers if name == b"content-type"]
        own = len(hosts) == 1 and hosts[0] in self._hosts
        same = all(origin == b"http://" + hosts[0] for origin in origins) if own else False
        quiet = scope["method"] in ("GET", "HEAD")
        return own and same and (quiet or kinds == [b"application/json"])


def _headers(headers: Any) -> list[tuple[bytes, bytes]]:
    own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
    return [*headers, *own]
