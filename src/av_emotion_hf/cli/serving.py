"""Commands of the app in the browser: app, space."""

from typing import Annotated

import typer

from .console import say
from .options import Detector, Device, Fps

LIMITS = "Limits"


def app(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for everyone who can reach this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for a free one.", min=0, max=65535)] = 7860,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Folder or Hub name of a classifier to offer beside those of this package."),
    ] = None,
    max_size: Annotated[float, typer.Option(help="Largest file in MB.", rich_help_panel=LIMITS)] = 200.0,
    max_minutes: Annotated[float, typer.Option(help="Longest clip in minutes.", rich_help_panel=LIMITS)] = 10.0,
    queue: Annotated[
        int, typer.Option(help="Requests that may wait; one more is refused.", rich_help_panel=LIMITS)
    ] = 100,
    workers: Annotated[
        int, typer.Option(help="Clips that are analyzed at a time, each in a process.", rich_help_panel=LIMITS)
    ] = 1,
    live: Annotated[
        int, typer.Option(help="Cameras and microphones that may be live at a time.", rich_help_panel=LIMITS)
    ] = 1,
    detector: Detector = "auto",
    fps: Fps = 10.0,
    device: Device = "auto",
) -> None:
    """Open a page in which clips are analyzed, and a queue that programs use with gradio_client."""
    from ..app.limits import Limits
    from ..app.server import serve
    from ..app.workshop import Settings

    limits = Limits(max_size, max_minutes, queue, workers, live)
    if host not in ("127.0.0.1", "localhost", "::1"):
        typer.echo(
            f"{host}: everyone who can reach this machine can use the page, and what they send is not encrypted; "
            "cameras and microphones work over https only",
            err=True,
        )
    serve(host, port, limits, Settings(detector, fps, device), checkpoint, ready=typer.echo)


def space(
    folder: Annotated[str, typer.Argument(help="New folder.")],
) -> None:
    """Write the folder of a Hugging Face Space that runs the app."""
    from ..app.space import write_space

    files = write_space(folder)
    say(f"{folder}: {', '.join(files)}; push it to a Space with the SDK Gradio")


__all__ = ["app", "space"]
