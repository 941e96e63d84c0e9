from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("pyarrow")

from counterpoint.apps.review.intake import open_review
from counterpoint.apps.review.server import ReviewServer
from counterpoint.errors import SettingError

JSON = {"content-type": "application/json"}


class Client:
    """Speaks HTTP to a server at its address."""

    def __init__(self, server: ReviewServer) -> None:
        parts = urlsplit(server.address)
        self.port, self.token = int(parts.port or 0), parts.path.strip("/")

    def raw(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        link.request(method, path, body, headers or {})
        answer = link.getresponse()
        found = answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
        link.close()
        return found

    def get(self, path: str) -> Any:
        status, body, _ = self.raw("GET", f"/{self.token}/{path}")
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, said: Any) -> tuple[int, Any]:
        status, body, _ = self.raw("POST", f"/{self.token}/{path}", json.dumps(said), JSON)
        return status, json.loads(body)


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Serves a folder in a thread; stopped at the end."""
    running = []

    def started(folder: Path, reviewer: str = "ada") -> Client:
        store = open_review(folder)
        server = ReviewServer(store, folder, reviewer)
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread, store))
        return Client(server)

    yield started
    for server, thread, store in running:
        server.stop()
        thread.join(20)
        store.close()


def test_listens_on_the_loopback_interface_alone(findings: Path) -> None:
    store = open_review(findings)
    server = ReviewServer(store, findings, "ada")
    assert server._socket.getsockname()[0] == "127.0.0.1"
    assert len(urlsplit(server.address).path.strip("/")) >= 32
    assert server.address != ReviewServer(store, findings, "ada").address


@pytest.mark.parametrize("path", ["", "page.js", "api/about", "api/rows/0", "export/decisions.csv"])
def test_every_path_needs_the_token(
    findings: Path, serve: Callable[..., Client], path: str
) -> None:
    client = serve(findings)
    assert client.raw("GET", f"/{client.token}/{path}")[0] == 200
    for wrong in (
        "",
        "x" * len(client.token),
        client.token[:-1],
        f"{client.token}é",
        "%00",
        "..//",
    ):
        status, body, _ = client.raw("GET", f"/{wrong}/{path}".replace("é", "%C3%A9"))
        assert (status, body) == (403, b"Forbidden.\n")
    assert client.raw("GET", f"/{path}")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:{port}"},
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:{port}"},
        {"host": "127.0.0.1:1"},
        {"host": "0.0.0.0:{port}"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
def test_other_sites_are_refused(
    findings: Path, serve: Callable[..., Client], headers: dict[str, str]
) -> None:
    client = serve(findings)
    filled = {name: value.format(port=client.port) for name, value in headers.items()}
    assert client.raw("GET", f"/{client.token}/api/about", headers=filled)[0] == 403
    body = json.dumps({"row": 0, "action": "keep", "seen": None})
    assert client.raw("POST", f"/{client.token}/api/decide", body, filled | JSON)[0] == 403
    assert client.get("api/progress")["keep"] == 0


def test_own_names_are_let_in(findings: Path, serve: Callable[..., Client]) -> None:
    client = serve(findings)
    for name in ("127.0.0.1", "localhost"):
        host = {"host": f"{name}:{client.port}", "origin": f"http://{name}:{client.port}"}
        assert client.raw("GET", f"/{client.token}/", headers=host)[0] == 200


def test_what_a_form_of_another_site_can_send_changes_nothing(
    findings: Path, serve: Callable[..., Client]
) -> None:
    client = serve(findings)
    body = json.dumps({"row": 0, "action": "keep", "seen": None})
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        path = f"/{client.token}/api/decide"
        assert client.raw("POST", path, body, {"content-type": kind})[0] == 403
    assert client.raw("GET", f"/{client.token}/api/decide")[0] == 405
    assert client.get("api/progress")["keep"] == 0


def test_answers_carry_strict_headers(findings: Path, serve: Callable[..., Client]) -> None:
    client = serve(findings)
    for path in ("", "api/about", "nothing"):
        headers = client.raw("GET", f"/{client.token}/{path}")[2]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_a_review_over_http(findings: Path, serve: Callable[..., Client]) -> None:
    client = serve(findings)
    about = client.get("api/about")
    assert (about["name"], about["reviewer"]) == ("mine.csv", "ada")
    assert client.get("api/queue?limit=1")[0]["row"] == 0
    row = client.get("api/rows/0")
    assert (row["label"], row["suggested"], row["fields"]) == ("cat", "dog", {"id": "n0"})
    said = {"row": 0, "action": "accept", "after": "dog", "seen": None}
    status, made = client.post("api/decide", said)
    assert (status, made["after"]) == (200, "dog")
    status, refused = client.post("api/decide", said)
    assert (status, refused["decision"]["id"]) == (409, made["id"])
    assert client.get("api/progress")["accept"] == 1
    csv = client.raw("GET", f"/{client.token}/export/decisions.csv")
    assert csv[2]["content-disposition"] == 'attachment; filename="decisions.csv"'
    assert b"ada,accept,cat,dog,dog," in csv[1]
    corrected = client.raw("GET", f"/{client.token}/export/corrected.parquet")
    assert corrected[1].startswith(b"PAR1")
    assert client.post("api/rerank", {})[1]["anchors"] == 1
    assert client.post("api/undo", {}) == (200, {"row": 0})


@pytest.mark.parametrize(
    ("path", "said", "says"),
    [
        ("api/decide", [], "JSON object"),
        ("api/decide", {"row": "0", "action": "keep"}, "a row and an action"),
        ("api/decide", {"row": True, "action": "keep"}, "a row and an action"),
        ("api/decide", {"row": 0, "action": "other", "after": [1]}, "a row and an action"),
        ("api/decide", {"row": 0, "action": "other", "after": {"a": 1}}, "a row and an action"),
        ("api/decide", {"row": 0, "action": "other", "after": ["dog"]}, "one label"),
        ("api/decide", {"row": 0, "action": "burn"}, "Unknown action"),
        ("api/decide", {"row": 0, "action": ["keep"]}, "Unknown action"),
        ("api/decide", {"row": 2**70, "action": "keep"}, "too large"),
        ("api/rerank", {}, "no decisions"),
    ],
)
def test_wrong_requests_are_explained(
    findings: Path, serve: Callable[..., Client], path: str, said: Any, says: str
) -> None:
    status, answer = serve(findings).post(path, said)
    assert status == 400
    assert says in answer["error"]


@pytest.mark.parametrize(
    "query", ["after=x", "scope=every", "least=nan", "limit=-5", "after=1e400", "status=done"]
)
def test_wrong_questions_are_refused(
    findings: Path, serve: Callable[..., Client], query: str
) -> None:
    client = serve(findings)
    assert client.raw("GET", f"/{client.token}/api/queue?{query}")[0] == 400


def test_a_port_in_use_is_named(findings: Path) -> None:
    store = open_review(findings)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=f"Port {port} cannot be used.*--port"):
            ReviewServer(store, findings, "ada", port)


def test_pictures_are_decoded_and_written_anew(
    make_findings: Any, tmp_path: Path, serve: Callable[..., Client]
) -> None:
    image = pytest.importorskip("PIL.Image")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    image.new("RGB", (2000, 1000), "red").save(pictures / "big.jpg")
    (pictures / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
    (tmp_path / "secret.txt").write_text("secret")
    with (pictures / "tail.png").open("wb") as file:
        image.new("L", (9, 9), 7).save(file, "PNG")
        file.write(b"<script>tail</script>")
    names = ["big.jpg", "drawing.svg", "../secret.txt", "gone.png", "tail.png"]
    folder = make_findings(tmp_path / "f", names, ["a"] * 5, ["b"] * 5, pictures=pictures)
    client = serve(folder)

    def picture(row: Any) -> tuple[int, bytes, dict[str, str]]:
        return client.raw("GET", f"/{client.token}/api/rows/{row}/picture")

    status, content, headers = picture(0)
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert len(content) < 50_000
    status, content, headers = picture(4)
    assert (status, headers["content-type"]) == (200, "image/png")
    assert b"script" not in content
    for row in (1, 2, 3):
        status, content, headers = picture(row)
        assert (status, headers["content-type"]) == (400, "application/json")
        assert b"secret\n" not in content
    assert picture(99)[0] == 400
    for path in ("..%2Fsecret.txt", "-1", "0%2F..%2F..", "big.jpg"):
        assert picture(path)[0] == 404


def test_pictures_that_are_no_files(tmp_path: Path, serve: Callable[..., Client]) -> None:
    pytest.importorskip("sklearn")
    from counterpoint.apps.reannotate import reannotate_corpus
    from counterpoint.curation.judge import Judge
    from counterpoint.data.corpus import read_corpus

    corpus = read_corpus("digits", limit=60)
    reannotate_corpus(corpus, tmp_path / "f", judge=Judge(neighbours=5, network=False))
    client = serve(tmp_path / "f")
    row = client.get("api/queue?scope=all&limit=1")[0]["row"]
    status, content, headers = client.raw("GET", f"/{client.token}/api/rows/{row}/picture")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert content.startswith(b"\x89PNG")
