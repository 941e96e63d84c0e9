"""Answers a browser on this machine, and nobody else."""

from __future__ import annotations

import io
import secrets
import socket
import sqlite3
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from counterpoint.apps.review import queries
from counterpoint.apps.review.export import corrected_table, decisions_table, writer
from counterpoint.apps.review.guard import Guard
from counterpoint.apps.review.pictures import Pictures
from counterpoint.apps.review.rerank import rerank
from counterpoint.apps.review.store import StaleError, Store
from counterpoint.errors import CounterpointError, SettingError, require

HOST = "127.0.0.1"
ASSETS = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_LARGEST = 2**53
_IDLE = 86_400
"""Seconds: no connection is closed under a decision that is just being sent."""

_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


class ReviewServer:
    """One reviewer's page on a port of the loopback interface.

    Args:
        store: of the review.
        folder: of the findings.
        reviewer: whose decisions are made.
        port: 0 for any that is free.

    Attributes:
        address: what to open, the token in it.

    Raises:
        MissingExtraError: starlette or uvicorn is not installed.
        SettingError: the port is in use or not allowed.
    """

    def __init__(self, store: Store, folder: Path, reviewer: str, port: int = 0) -> None:
        uvicorn = require("uvicorn", "review")
        self._socket = _listening(port)
        port = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24)
        self.address = f"http://{HOST}:{port}/{token}/"
        answers = Answers(store, folder, reviewer)
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(_routed(answers), token, port),
                http="h11",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_IDLE,
                timeout_graceful_shutdown=1,
            )
        )

    def run(self) -> None:
        """Answers until stopped."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Makes `run` return soon; may be called from another thread."""
        self._server.should_exit = True


class Answers:
    """What the page asks for, as plain values.

    Args:
        store: of the review.
        folder: of the findings.
        reviewer: whose decisions are made.
    """

    def __init__(self, store: Store, folder: Path, reviewer: str) -> None:
        self._store, self._folder, self._reviewer = store, folder, reviewer
        self.picture = Pictures(store, folder)

    def about(self) -> dict[str, Any]:
        """What stays the same while a queue is gone through."""
        return {
            "name": self._store.meta("name"),
            "kind": self._store.meta("kind"),
            "reviewer": self._reviewer,
            "several": self._store.several,
            "classes": queries.classes(self._store, self._reviewer),
            "kinds": queries.kinds(self._store, self._reviewer),
        }

    def queue(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        """The next rows, see `queries.page`."""
        return queries.page(
            self._store,
            self._reviewer,
            _filter(asked),
            status=asked.get("status", "open"),  # type: ignore[arg-type]
            after=_whole(asked, "after", -1, least=-1),
            limit=_whole(asked, "limit", 50, least=1),
        )

    def progress(self, asked: dict[str, str]) -> dict[str, int]:
        """See `queries.progress`."""
        return queries.progress(self._store, self._reviewer, _filter(asked))

    def row(self, row: int) -> dict[str, Any]:
        """See `queries.row`."""
        return queries.row(self._store, self._reviewer, row)

    def text(self, row: int) -> dict[str, str]:
        """See `queries.whole_text`."""
        return {"text": queries.whole_text(self._store, row)}

    def decide(self, said: dict[str, Any]) -> dict[str, Any]:
        """See `Store.decide`."""
        row, seen, after = said.get("row"), said.get("seen"), said.get("after")
        if (
            type(row) is not int
            or not isinstance(seen, int | None)
            or not all(isinstance(one, str | None) for one in _each(after))
        ):
            raise SettingError("A decision has a row and an action.")
        decision = self._store.decide(self._reviewer, row, said.get("action", ""), after, seen=seen)
        return vars(decision)

    def undo(self, said: dict[str, Any]) -> dict[str, Any]:
        """See `Store.undo`."""
        return {"row": self._store.undo(self._reviewer)}

    def rerank(self, said: dict[str, Any]) -> dict[str, int]:
        """See `rerank`."""
        return rerank(self._store, self._folder, self._reviewer)

    def export(self, what: str, form: str) -> bytes:
        """A file of this reviewer's decisions, or of the corpus corrected by them."""
        if what == "decisions":
            table = decisions_table(self._store, self._reviewer)
        else:
            table, _ = corrected_table(self._store, self._folder, self._reviewer)
        out = io.BytesIO()
        writer(f".{form}")(table, out)
        return out.getvalue()


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingError(
            f"Port {port} cannot be used: {error.strerror}. Choose another with --port, or leave "
            "it out to take one that is free."
        ) from error
    return listener


def _routed(answers: Answers) -> Any:
    """The ASGI application: a path for each thing that a page asks for."""
    applications = require("starlette.applications", "review")
    route = require("starlette.routing", "review").Route
    responses = require("starlette.responses", "review")
    threaded: Callable[..., Any] = require("starlette.concurrency", "review").run_in_threadpool

    def answered(answer: Callable[..., Any], given: Callable[[Any], tuple[Any, ...]]) -> Any:
        async def endpoint(request: Any) -> Any:
            return responses.JSONResponse(await threaded(answer, *given(request)))

        return endpoint

    def posted(answer: Callable[[dict[str, Any]], Any]) -> Any:
        async def endpoint(request: Any) -> Any:
            try:
                said = await request.json()
            except ValueError:
                said = None
            if not isinstance(said, dict):
                raise SettingError("The body must be a JSON object.")
            return responses.JSONResponse(await threaded(answer, said))

        return endpoint

    async def picture(request: Any) -> Any:
        kind, content = await threaded(answers.picture, request.path_params["row"])
        return responses.Response(content, media_type=kind)

    async def exported(request: Any) -> Any:
        what, form = request.path_params["what"], request.path_params["form"]
        if what not in ("decisions", "corrected") or form not in _TYPES:
            return responses.PlainTextResponse("Not found.", 404)
        content = await threaded(answers.export, what, form)
        named = {"content-disposition": f'attachment; filename="{what}.{form}"'}
        return responses.Response(content, media_type=_TYPES[form], headers=named)

    def asset(name: str, kind: str) -> Any:
        return lambda request: responses.Response(_asset(name), media_type=kind)

    def asked(request: Any) -> tuple[dict[str, str]]:
        return (dict(request.query_params),)

    def numbered(request: Any) -> tuple[int]:
        return (request.path_params["row"],)

    routes = [
        *(route(path, asset(name, kind)) for path, (name, kind) in ASSETS.items()),
        route("/api/about", answered(answers.about, lambda _: ())),
        route("/api/queue", answered(answers.queue, asked)),
        route("/api/progress", answered(answers.progress, asked)),
        route("/api/rows/{row:int}", answered(answers.row, numbered)),
        route("/api/rows/{row:int}/text", answered(answers.text, numbered)),
        route("/api/rows/{row:int}/picture", picture),
        route("/api/decide", posted(answers.decide), methods=["POST"]),
        route("/api/undo", posted(answers.undo), methods=["POST"]),
        route("/api/rerank", posted(answers.rerank), methods=["POST"]),
        route("/export/{what}.{form}", exported),
    ]

    def failed(request: Any, error: Exception) -> Any:
        if isinstance(error, StaleError):
            standing = error.standing and vars(error.standing)
            return responses.JSONResponse({"error": str(error), "decision": standing}, 409)
        if isinstance(error, OverflowError):
            return responses.JSONResponse({"error": "A row number is too large."}, 400)
        code = 400 if isinstance(error, CounterpointError) else 503
        return responses.JSONResponse({"error": str(error)}, code)

    expected = (CounterpointError, sqlite3.Error, OverflowError)

    handlers = dict.fromkeys(expected, failed)
    return applications.Starlette(routes=routes, exception_handlers=handlers)


def _filter(asked: dict[str, str]) -> queries.Filter:
    words = {name: asked[name] for name in ("scope", "given", "suggested", "kind") if name in asked}
    least, most = _number(asked, "least", 0.0), _number(asked, "most", 1.0)
    return queries.Filter(**words, least=least, most=most)  # type: ignore[arg-type]


def _number(asked: dict[str, str], name: str, default: float) -> float:
    try:
        return float(asked.get(name, default))
    except ValueError:
        raise SettingError(f"{name} must be a number; got {asked[name]!r}.") from None


def _whole(asked: dict[str, str], name: str, default: int, least: int) -> int:
    value = _number(asked, name, default)
    if not least <= value <= _LARGEST or value % 1:
        raise SettingError(f"{name} must be a whole number of at least {least}; got {value}.")
    return int(value)


def _asset(name: str) -> str:
    folder = resources.files("counterpoint.apps.review") / "assets"
    return (folder / name).read_text(encoding="utf-8")
