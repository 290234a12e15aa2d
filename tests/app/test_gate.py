"""What passes the gate; with Gradio behind it, see test_server.py."""

import asyncio
import json

import pytest

from av_emotion_hf.app.gate import BODY, HEADERS, Gate
from av_emotion_hf.app.limits import Limits
from av_emotion_hf.app.uploads import Uploads


@pytest.fixture
def uploads(tmp_path):
    (tmp_path / "files").mkdir()
    return Uploads(tmp_path / "files")


@pytest.fixture
def upload(uploads):
    path = uploads.new_folder() / "clip.mp4"
    path.write_bytes(b"clip")
    return path


@pytest.fixture
def ask(uploads):
    """Function from a request to its status and content; behind the gate is an echo."""

    async def echo(scope, receive, send):
        body = (await receive()).get("body", b"")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-echo", b"1")]})
        await send({"type": "http.response.body", "body": body})

    gate = Gate(echo, uploads, Limits(megabytes=0.01))

    def ask(method, path, body=b"", headers=(), pieces=1000):
        sent = []
        parts = [body[start : start + pieces] for start in range(0, len(body), pieces)] or [b""]
        messages = iter(
            {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
            for number, part in enumerate(parts)
        )

        async def receive():
            return next(messages, {"type": "http.disconnect"})

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "headers": list(headers),
        }  # fmt: skip
        asyncio.run(gate(scope, receive, send))
        names = dict(sent[0]["headers"])
        assert {name.encode() for name in HEADERS} <= set(names)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    return ask


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/gradio_api/proxy=http://127.0.0.1/"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/run/predict/extra"),
        ("POST", "/gradio_api/api/predict"),
        ("GET", "/gradio_api/vibe-code"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/gradio_api/run-history/records"),
        ("GET", "/gradio_api/file/etc/passwd"),
        ("GET", "/gradio_api/custom_component/x/client/component/y"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/monitoring"),
        ("GET", "/login"),
        ("GET", "/svelte/x"),
        ("DELETE", "/"),
        ("POST", "/"),
        ("GET", "/gradio_api/upload"),
    ],
)
def test_what_the_page_does_not_need_does_not_exist(ask, method, path):
    assert ask(method, path)[0] == 404


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/index.js", "/gradio_api/info", "/gradio_api/call/predict/1"]
)
def test_what_the_page_needs_passes(ask, path):
    assert ask("GET", path) == (200, b"")


def test_files_are_uploads_only(ask, upload, uploads):
    assert ask("GET", f"/gradio_api/file={upload}")[0] == 200
    for wrong in ("/etc/passwd", f"{uploads.folder}/../../etc/passwd", "http://example.org/a.mp4", "clip.mp4", ""):
        status, body = ask("GET", f"/gradio_api/file={wrong}")
        assert (status, json.loads(body)["detail"][:27]) == (403, "Only files that were upload"), wrong


@pytest.mark.parametrize("route", ["queue/join", "call/predict", "call/v2/predict", "run/predict"])
def test_requests_name_uploads_only(ask, upload, route):
    def status(path):
        body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "x", 0.4], "session_hash": "s"}
        return ask("POST", f"/gradio_api/{route}", json.dumps(body).encode())[0]

    assert status(str(upload)) == 200
    for wrong in (
        "/etc/passwd",
        "http://127.0.0.1:1/clip.mp4",
        "https://example.org/clip.mp4",
        f"{upload.parent}/../../../etc/passwd",
        "clip.mp4",
        "",
        7,
        [str(upload)],
    ):
        assert status(wrong) == 403, wrong


def test_a_path_is_found_however_deep_it_is(ask):
    for body in (
        {"clip": {"path": "/etc/passwd"}},
        {"data": [[[{"value": {"files": [{"x": {"path": "http://example.org"}}]}}]]]},
        [{"path": "/etc/passwd"}],
        {"event_data": {"path": {"path": "/etc/passwd"}}},
    ):
        assert ask("POST", "/gradio_api/queue/join", json.dumps(body).encode())[0] == 403, body


def test_the_body_that_was_checked_is_passed_on(ask):
    body = json.dumps({"data": ["é" * 5000]}).encode()
    assert ask("POST", "/gradio_api/queue/join", body) == (200, body)


def test_bodies_that_are_large_or_no_json_are_refused(ask):
    assert ask("POST", "/gradio_api/queue/join", b"x" * (BODY + 1), pieces=100_000)[0] == 413
    assert ask("POST", "/gradio_api/queue/join", b"{")[0] == 400
    assert ask("POST", "/gradio_api/queue/join", b"[" * 200_000, pieces=100_000)[0] == 400


def test_live_requests_say_how_long_they_are(ask):
    assert ask("POST", "/live/start", b"x", [(b"content-length", b"1")])[0] == 200
    assert ask("POST", "/live/start", b"x")[0] == 413
    assert ask("POST", "/live/start", b"x", [(b"content-length", b"999999999")])[0] == 413


def form(content, name="files"):
    start = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="../../a clip.mp4"\r\n\r\n'
    return start.encode() + content + b"\r\n--b--\r\n"


FORM = (b"content-type", b"multipart/form-data; boundary=b")


def test_each_upload_has_a_folder_of_its_own(ask, uploads):
    pytest.importorskip("gradio")
    paths = []
    for _ in range(2):  # the same content twice
        status, body = ask("POST", "/gradio_api/upload", form(b"content"), [FORM])
        assert status == 200
        paths += json.loads(body)
    assert len({path.rsplit("/", 3)[1] for path in paths}) == 2
    assert all(uploads.owns(path) and path.endswith("/a clip.mp4") for path in paths)


def test_uploads_that_are_too_large_leave_nothing(ask, uploads):
    pytest.importorskip("gradio")
    large = form(b"x" * 20_000)
    for headers in ([FORM], [FORM, (b"content-length", str(len(large)).encode())]):
        status, body = ask("POST", "/gradio_api/upload", large, headers)
        assert (status, json.loads(body)["detail"]) == (413, Limits(megabytes=0.01).too_large)
    many = b"".join(form(b"x" * 9_000)[: -len(b"--b--\r\n")] for _ in range(20)) + b"--b--\r\n"
    assert ask("POST", "/gradio_api/upload", many, [FORM])[0] == 413
    assert not list(uploads.folder.iterdir())


@pytest.mark.parametrize("body, headers", [(b"x", []), (b"x", [FORM]), (form(b"x")[:40], [FORM]), (b"", [FORM])])
def test_uploads_that_are_none_leave_nothing(ask, uploads, body, headers):
    pytest.importorskip("gradio")
    status, _ = ask("POST", "/gradio_api/upload", body, headers)
    assert status in (200, 400)
    assert not list(uploads.folder.iterdir())
