"""The server: it listens for requests (CN110852215A), on this machine alone unless told otherwise."""

import asyncio
import importlib.util
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

from ..errors import InputError
from ..utils import reason
from .limits import Limits
from .service import Service
from .workshop import Settings

HOST, PORT = "127.0.0.1", 7860
SWEEP = 10.0  # seconds between two looks for files that are left behind
CLOSING = 1  # seconds that open connections get in the end
# before Gradio is imported: it would report that it was started, and look for a newer version
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def serve(
    host: str = HOST,
    port: int = PORT,
    limits: Limits | None = None,
    settings: Settings | None = None,
    checkpoint: str | None = None,
    ready: Callable[[str], Any] = lambda address: None,
) -> None:
    """Serve the page and the endpoint for programs until interrupted.

    Args:
        host: address to listen at: `127.0.0.1` for this machine, `0.0.0.0` for everyone who can reach it.
        port: of it; 0 for a free one.
        limits: of clips and requests.
        settings: of the models.
        checkpoint: folder or Hub name of a model to offer beside those of this package.
        ready: called with the address of the page once it can be opened.

    Raises:
        InputError: Gradio is not installed, the port is taken, the host is not this machine's, or the checkpoint
            cannot be used.
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the app needs Gradio: pip install 'av-emotion-hf[app]'")
    with (
        closing(_listen(host, port)) as listener,
        closing(Service(limits or Limits(), settings or Settings(), checkpoint)) as service,
    ):
        # uvicorn raises the signal that has ended it once more; by default the process would then end at once
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with suppress(KeyboardInterrupt):
            asyncio.run(_run(service, listener, ready))


def make_app(service: Service) -> Any:
    """The ASGI application of a service: the page behind its gate.

    Args:
        service: what analyzes, with its models loaded.
    """
    gr = _import_gradio(service)
    from fastapi import FastAPI

    from .gate import Gate, waiting_paths
    from .interface import STYLE, THEME, build
    from .live_routes import live_routes

    blocks = build(service)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP)
            await service.live.sweep()
            await asyncio.to_thread(service.uploads.sweep, waiting_paths(blocks._queue))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(sweep())
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping

    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan, routes=live_routes(service))
    gr.mount_gradio_app(
        outer,
        blocks,
        path="/",
        theme=THEME,
        css_paths=STYLE,
        max_file_size=service.limits.bytes,
        show_error=False,
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        footer_links=["api", "settings"],
    )
    blocks.has_launched = True  # else Gradio checks no paths: it takes this for a notebook that is being written
    return Gate(outer, service.uploads, service.limits)


async def _run(service: Service, listener: socket.socket, ready: Callable[[str], Any]) -> None:
    loading = asyncio.create_task(service.load())
    await asyncio.to_thread(_import_gradio, service)  # meanwhile
    await loading
    import uvicorn

    config = uvicorn.Config(
        make_app(service), log_level="warning", access_log=False, timeout_graceful_shutdown=CLOSING, lifespan="on"
    )
    server = uvicorn.Server(config)
    logging.getLogger("uvicorn.error").addFilter(_is_worth_logging)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.05)
    if server.started:
        host, port = listener.getsockname()[:2]
        ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    await serving


def _import_gradio(service: Service) -> Any:
    """Gradio, such that it tells nobody that it was started, and has its files in the folder of the service."""
    os.environ.update(ENVIRONMENT, GRADIO_TEMP_DIR=str(service.uploads.folder))
    import gradio

    return gradio


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Whether it is not about the connections of open pages, which are cut in the end."""
    is_cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not is_cut and "graceful shutdown exceeded" not in record.getMessage()


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the port is taken or not allowed, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"{host}:{port}: nobody can listen there ({reason(error)}); choose another --port, or 0 for a free one"
            + ("" if host == HOST else ", or another --host")
        ) from error
    return listener


__all__ = ["HOST", "PORT", "make_app", "serve"]
