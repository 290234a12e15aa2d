"""The page: a clip in, who shows which expression when out; and the endpoint for programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from ..media.paths import MEDIA_SUFFIXES
from ..models.persons_av_emotion import ALL, LARGEST, SPEAKING
from .handlers import CAMERA, FILE, MICROPHONE, Handlers
from .service import Service

TITLE = "Expressions in voice and face"
LEAD = """
# Expressions in voice and face

Which emotion do a voice and a face **express**, and when? That is not what someone feels, and the answer may be wrong.
"""
PRIVACY = (
    "Clips are analyzed by this service alone. They are deleted when the next one comes or this page is closed, and "
    "nothing is stored."
)
NOTICE = (
    "Everyone who is recorded has to be told beforehand that a system recognizes emotions from voice and face "
    "(EU AI Act, Art. 50(3))."
)
PERSONS = [("everyone who is seen", ALL), ("the largest face", LARGEST), ("who speaks", SPEAKING)]
WAITING = '<p class="hint">Choose or record a clip, then press Analyze: who shows which expression appears here.</p>'
CANCELED = '<p class="hint">Canceled. Nothing was kept of the analysis.</p>'
QUIET: dict = {"api_visibility": "private", "show_progress": "hidden", "queue": False}  # events that take no time
STYLE = Path(__file__).with_name("style.css")
# fonts of the system: Gradio's own themes load theirs from other hosts
THEME = gr.themes.Base(
    primary_hue="blue",
    neutral_hue="gray",
    radius_size="md",
    font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
    font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
).set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300")  # enough contrast to read


def build(service: Service) -> gr.Blocks:
    """The page with its queue.

    Args:
        service: what analyzes, with its models loaded.
    """
    handlers = Handlers(service)
    # Gradio's own reading of a file leaves an empty one behind
    queued: dict[str, Any] = {
        "concurrency_id": "clips",
        "concurrency_limit": service.limits.workers,
        "preprocess": False,
    }
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(LEAD, elem_id="lead")
        options = _options(service)
        with gr.Tabs():
            with gr.Tab("Clip"), gr.Row(equal_height=False):
                with gr.Column(scale=2, min_width=320):
                    clips = _clip_inputs(service, handlers)
                    with gr.Row():
                        analyze = gr.Button("Analyze", variant="primary", elem_id="analyze")
                        cancel = gr.Button("Cancel", elem_id="cancel", interactive=False)
                    gr.Markdown(PRIVACY, elem_classes="small")
                with gr.Column(scale=3, min_width=320):
                    answer = gr.HTML(WAITING, elem_id="answer", min_height=64)
                    report = gr.HTML(elem_id="report")
                    files = gr.Files(label="Download", visible=False, interactive=False, elem_id="files")
            with gr.Tab("Live"):
                _live(options)
        begun = analyze.click(lambda: gr.Button(interactive=True), None, cancel, **QUIET)
        run = begun.then(
            handlers.analyze,
            [*clips, *options],
            [answer, report, files],
            api_visibility="private",
            show_progress_on=[answer],
            **queued,
        )
        run.then(lambda: gr.Button(interactive=False), None, cancel, **QUIET)
        cancel.click(
            lambda: (CANCELED, "", gr.Files(None, visible=False), gr.Button(interactive=False)),
            None,
            [answer, report, files, cancel],
            cancels=[run],
            **QUIET,
        )
        with gr.Row(visible=False):  # for programs
            clip, timeline, send = gr.File(label="clip"), gr.JSON(label="timeline"), gr.Button()
        send.click(handlers.predict, [clip, *options], timeline, api_name="predict", **queued)
        blocks.unload(handlers.close)
    blocks.queue(max_size=service.limits.queue, api_open=False)
    return blocks


def _options(service: Service) -> list[Any]:
    """Checkpoint, persons and lowest probability."""
    offer = service.offer
    with gr.Accordion("Options", open=False), gr.Row():
        return [
            gr.Dropdown(
                list(offer.checkpoints),
                value=offer.checkpoints[0],
                label="Checkpoint",
                info="-mit: also for commercial use. -voice: hears, and sees nobody.",
            ),
            gr.Dropdown(PERSONS, value=ALL, label="Persons", info="Whose expressions are wanted."),
            gr.Slider(
                0.0,
                1.0,
                offer.abstain,
                step=0.05,
                label="Lowest probability",
                info="Of an expression that is named; below it the answer is uncertain.",
            ),
        ]


def _clip_inputs(service: Service, handlers: Handlers) -> list[Any]:
    """Which tab is open, and what is in each: a file, what the camera has recorded, what the microphone has."""
    limits, source = service.limits, gr.State(FILE)
    with gr.Tabs():
        with gr.Tab("File") as file_tab:
            file = gr.File(
                label=f"Video or audio, up to {limits.minutes:g} minutes and {limits.megabytes:g} MB",
                file_types=["video", "audio", *sorted(MEDIA_SUFFIXES)],
                height=180,
                elem_id="clip",
            )
            example = gr.Button("No clip at hand? Try a drawn face", size="sm", elem_id="example")
            example.click(handlers.example, None, file, **QUIET)
        with gr.Tab("Camera") as camera_tab, _told():
            camera = gr.Video(
                sources=["webcam"],
                label="Camera and microphone",
                include_audio=True,
                webcam_options=gr.WebcamOptions(mirror=False),  # else Gradio would need FFmpeg
                elem_id="camera",
            )
        with gr.Tab("Microphone") as microphone_tab, _told():
            microphone = gr.Audio(sources=["microphone"], type="filepath", label="Microphone", elem_id="microphone")
    found: dict[str, tuple[gr.Tab, Any]] = {
        FILE: (file_tab, file),
        CAMERA: (camera_tab, camera),
        MICROPHONE: (microphone_tab, microphone),
    }
    for role, (tab, component) in found.items():
        tab.select(lambda role=role: role, None, source, **QUIET)
        component.change(handlers.holder(role), component, None, preprocess=False, **QUIET)
    return [source, file, camera, microphone]


def _live(options: list[Any]) -> None:
    """A camera and a microphone that are followed; the browser does the work, see `live.js`."""
    checkpoint, _, abstain = options
    gr.Markdown(NOTICE, elem_classes="notice")
    panel = gr.HTML(
        html_template=_text("live.html"),
        js_on_load=_text("live.js"),
        apply_default_css=False,
        elem_id="live",
        checkpoint=checkpoint.value,
        abstain=abstain.value,
    )
    gr.on(
        [checkpoint.change, abstain.release],
        lambda name, least: gr.HTML(checkpoint=name, abstain=least),
        [checkpoint, abstain],
        panel,
        **QUIET,
    )


@contextmanager
def _told() -> Iterator[None]:
    """A recorder that appears when the user has confirmed that everyone who is recorded knows."""
    gr.Markdown(NOTICE, elem_classes="notice")
    told = gr.Checkbox(label="Everyone who is recorded knows this", elem_classes="told")
    with gr.Column(visible=False) as recorder:
        yield
    told.change(lambda yes: gr.Column(visible=yes), told, recorder, **QUIET)


def _text(name: str) -> str:
    """A file of this package."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


__all__ = ["STYLE", "THEME", "TITLE", "build"]
