"""The addresses at which a live page sends what it hears and sees."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..errors import InputError
from .live import Chunk
from .service import Service

FRAMES = 100  # in one request


def live_routes(service: Service) -> list[BaseRoute]:
    """Routes to begin, feed and end a stream; each answers with JSON, a mistake with a sentence under `detail`.

    Args:
        service: what follows the streams.
    """

    async def start(request: Request) -> dict[str, Any]:
        async with request.form(max_files=0, max_fields=2) as form:
            checkpoint, abstain = str(form.get("checkpoint", "")), str(form.get("abstain", ""))
        return await service.start_live(checkpoint, abstain)

    async def push(request: Request) -> dict[str, Any]:
        async with request.form(max_files=FRAMES + 1, max_fields=10) as form:
            frames = [await one.read() for one in form.getlist("frame") if not isinstance(one, str)]
            audio = form.get("audio")
            fields: dict[str, Any] = {name: form.get(name) for name in ("rate", "audio_time", "times")}
            fields["audio"] = audio if audio is None or isinstance(audio, str) else await audio.read()
        return await service.live.push(request.path_params["session"], Chunk.of_form(fields, frames))

    async def stop(request: Request) -> dict[str, Any]:
        await service.live.stop(request.path_params["session"])
        return {}

    return [
        Route("/live/start", _answering(start), methods=["POST"]),
        Route("/live/{session}/push", _answering(push), methods=["POST"]),
        Route("/live/{session}/stop", _answering(stop), methods=["POST"]),
    ]


def _answering(handler: Callable[[Request], Awaitable[dict[str, Any]]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except InputError as error:
            return JSONResponse({"detail": str(error)}, status_code=422)

    return answer


__all__ = ["live_routes"]
