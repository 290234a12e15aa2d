"""What stands before Gradio: only the routes that the page needs, and only files that were uploaded here."""

import json
import shutil
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from .limits import Limits
from .uploads import Uploads

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
UPLOAD, FILE, LIVE = f"{API}/upload", f"{API}/file=", "/live/"
READ = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"} | {
    f"{API}/{name}"
    for name in (
        "app_id", "info", "openapi.json", "queue/data", "queue/status", "startup-events", "theme.css",
        "upload_progress",
    )
}  # fmt: skip
READ_BELOW = ("/assets/", "/static/", f"{API}/heartbeat/", f"{API}/call/", FILE)
WRITE = {UPLOAD, *(f"{API}/{name}" for name in ("queue/join", "run/predict", "cancel", "reset"))}
WRITE_BELOW = (f"{API}/call/", LIVE)
BODY = 1_000_000  # bytes of a request that is not an upload
CHUNK = 20_000_000  # bytes of what a camera and a microphone send at a time
FORM = 100_000  # bytes that a form may have around its file
# a browser then loads nothing from other hosts, whatever a page asks for
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
}
TOO_LARGE = "The request is too large."
NOT_HERE = "There is nothing here."
NOT_UPLOADED = (
    "Only files that were uploaded to this service are read: upload the clip itself, not its path or address."
)


class Gate:
    """ASGI middleware before a Gradio app.

    Gradio downloads what the `path` of a file in a request names if that is an address, and it has routes that fetch
    addresses, edit code and keep records. Here such a path is refused, and routes that the page and `gradio_client`
    do not need do not exist. Uploads get folders of their own: Gradio's are named by content, so that two requests
    with the same clip would share a file that each deletes.

    Args:
        app: what answers the requests that pass.
        uploads: where files are.
        limits: of their size.
    """

    def __init__(self, app: Application, uploads: Uploads, limits: Limits):
        self._app, self._uploads, self._limits = app, uploads, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        path, method = scope["path"], scope["method"]
        if method in ("GET", "HEAD", "OPTIONS"):
            allowed = path in READ or path.startswith(READ_BELOW)
        else:
            allowed = method == "POST" and (path.rstrip("/") in WRITE or path.startswith(WRITE_BELOW))
        if not allowed:
            await _answer(send, 404, NOT_HERE)
        elif path.startswith(FILE) and not self._uploads.owns(path.removeprefix(FILE)):
            await _answer(send, 403, NOT_UPLOADED)
        elif path.rstrip("/") == UPLOAD:
            await self._upload(scope, receive, send)
        elif path.startswith(LIVE) and not _length(scope) <= CHUNK:
            await _answer(send, 413, TOO_LARGE)
        elif method == "POST" and path.startswith(API):
            await self._checked(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it names no file but uploads."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > BODY:
                await _answer(send, 413, TOO_LARGE)
                return
            if not message.get("more_body"):
                break
        try:
            paths = list(_paths(json.loads(body))) if body else []
        except (ValueError, RecursionError):
            await _answer(send, 400, "The request is not JSON.")
            return
        if not all(isinstance(path, str) and self._uploads.owns(path) for path in paths):
            await _answer(send, 403, NOT_UPLOADED)
            return
        whole = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> MutableMapping[str, Any]:
            return next(whole, None) or await receive()

        await self._app(scope, replay, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store the file of a form in a folder of its own, and answer with its path as Gradio does."""
        from gradio.route_utils import upload_fn
        from gradio.routes import file_upload_statuses
        from starlette.exceptions import HTTPException
        from starlette.formparsers import MultiPartException
        from starlette.requests import ClientDisconnect, Request

        most, received = self._limits.bytes + FORM, 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise MultiPartException(self._limits.too_large)
            return message

        request = Request(scope, counted)
        if most < _length(scope) < float("inf"):
            await _answer(send, 413, self._limits.too_large)
            return
        if shutil.disk_usage(self._uploads.folder).free < 2 * most:
            await _answer(send, 507, "The disk of this service is full; try again later.")
            return
        folder, paths = self._uploads.new_folder(), []
        number = request.query_params.get("upload_id")
        try:
            # what a form has beside files, and more files than the page sends, count for nothing
            tracked = file_upload_statuses if number else None
            paths, _, _ = await upload_fn(request, str(folder), self._limits.bytes, number, upload_progress=tracked)
        except MultiPartException as error:
            large = received > most or "File size exceeded" in error.message
            answer = (413, self._limits.too_large) if large else (400, "The upload is not complete; try it again.")
            await _answer(send, *answer)
        except (HTTPException, TypeError, KeyError, ValueError):
            await _answer(send, 400, "An upload is a form (multipart/form-data) with files.")
        except ClientDisconnect:
            pass
        else:
            await _answer(send, 200, paths)
        finally:
            if not paths:
                shutil.rmtree(folder, ignore_errors=True)


def _paths(value: Any) -> Iterator[Any]:
    """Whatever is called `path` anywhere in a request."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            if one.get("path") is not None:
                yield one["path"]
            stack += one.values()
        elif isinstance(one, list):
            stack += one


def _length(scope: Scope) -> float:
    """Bytes that a request says it has; infinity where it does not say so, as one that is sent in pieces."""
    found = dict(scope["headers"]).get(b"content-length", b"")
    return int(found) if found.isdigit() else float("inf")


def _with_headers(send: Send) -> Send:
    """Answers with the headers that keep a browser from other hosts."""
    added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sent


async def _answer(send: Send, status: int, content: Any) -> None:
    """Answer with JSON: a sentence under `detail`, as Gradio has it, or a result."""
    body = json.dumps({"detail": content} if isinstance(content, str) else content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def waiting_paths(queue: Any) -> list[str]:
    """Paths of the files that requests in a Gradio queue wait for."""
    events = [event for each in queue.event_queue_per_concurrency_id.values() for event in each.queue]
    return [
        path
        for event in events
        if event.data is not None
        for path in _paths(event.data.data)
        if isinstance(path, str) and Path(path).is_absolute()
    ]


__all__ = ["HEADERS", "Gate", "waiting_paths"]
