"""What the buttons of the page and the endpoint for programs do."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import gradio as gr

from ..errors import InputError
from ..media.drawn_clip import write_drawn_clip
from ..timeline.report.page import report_html
from .downloads import timeline_json, write_downloads
from .results import answer_html, problem_html, report_frame
from .service import Service

FILE, CAMERA, MICROPHONE = "file", "camera", "microphone"
RESULTS = "results"
EXAMPLE = "drawn face.mp4"
File = dict[str, Any] | None  # as it comes from Gradio


class Handlers:
    """The functions behind a page.

    Args:
        service: what analyzes.
    """

    def __init__(self, service: Service):
        self._service = service
        self._running: dict[str, asyncio.Task] = {}  # by session

    def holder(self, role: str) -> Callable:
        """What keeps the clip that a page shows in this role, and deletes the one that it has shown before."""

        def hold(file: File, request: gr.Request) -> None:
            self._service.uploads.hold(str(request.session_hash), role, _path(file))

        return hold

    def example(self) -> str:
        """A clip for who has none at hand, as if it were uploaded: a drawn face and a vowel."""
        path = self._service.uploads.new_folder() / EXAMPLE
        write_drawn_clip(path, "libx264")
        return str(path)

    def close(self, request: gr.Request) -> None:
        """A page was closed: stop its analysis and delete its files."""
        session = str(request.session_hash)
        if task := self._running.pop(session, None):
            task.get_loop().call_soon_threadsafe(task.cancel)
        self._service.uploads.release(session)

    async def analyze(
        self,
        source: str,
        file: File,
        camera: File,
        microphone: File,
        checkpoint: Any,
        person: Any,
        abstain: Any,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio's way of asking for one
    ) -> tuple[str, str, Any]:
        """The answer, the report and the files for downloading of the clip on the page."""
        path = _path({FILE: file, CAMERA: camera, MICROPHONE: microphone}.get(source))
        session, uploads = str(request.session_hash), self._service.uploads
        uploads.hold(session, RESULTS, None)
        if path is None:
            return _failed("There is no clip yet: choose a file, or record one.")
        show = _shown(progress)
        show(0.0, 0.0)
        task = asyncio.create_task(self._service.timeline(path, checkpoint, person, abstain, show))
        self._running[session] = task
        try:
            timeline = await task
        except InputError as error:
            return _failed(str(error))
        finally:
            task.cancel()
            self._running.pop(session, None)
        folder = uploads.new_folder()
        uploads.hold(session, RESULTS, folder)
        files = await asyncio.to_thread(write_downloads, timeline, folder)
        page = await asyncio.to_thread(report_html, timeline, f"./gradio_api/file={quote(path)}")
        return answer_html(timeline), report_frame(page), gr.Files(files, visible=True)

    async def predict(
        self,
        clip: File,
        checkpoint: Any,
        person: Any,
        abstain: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> dict[str, Any]:
        """The timeline of a clip as JSON. The clip is deleted afterward.

        Args:
            clip: audio or video file.
            checkpoint: model that answers.
            person: whose expressions are wanted.
            abstain: lowest probability of an emotion that is named; below it the answer is `uncertain`.
            progress: shows how far it is.
        """
        path = _path(clip)
        if path is None:
            raise gr.Error("clip is missing: send a file", print_exception=False)
        try:
            timeline = await self._service.timeline(path, checkpoint, person, abstain, _shown(progress))
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from None
        finally:
            self._service.uploads.delete(path)
        folder = self._service.uploads.new_folder()
        try:
            return await asyncio.to_thread(timeline_json, timeline, folder)
        finally:
            self._service.uploads.delete(folder)


def _path(file: File) -> str | None:
    """Where an upload is."""
    return file.get("path") if isinstance(file, dict) else None


def _shown(progress: gr.Progress) -> Callable[[float, float], None]:
    """What shows the seconds that are done."""

    def show(seconds: float, duration: float) -> None:
        share = min(1.0, seconds / duration) if duration else None
        progress(share, desc=f"{seconds:.0f} of {duration:.0f} s of the clip" if duration else "Opening the clip")

    return show


def _failed(message: str) -> tuple[str, str, Any]:
    return problem_html(message), "", gr.Files(None, visible=False)


__all__ = ["CAMERA", "FILE", "MICROPHONE", "Handlers"]
