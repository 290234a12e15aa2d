"""The page: a clip in, who shows which expression when out; and the endpoint for programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
STYLE = Path(__file__).with_name("style.css")
# fonts of the system: Gradio's own themes load theirs from other hosts
THEME = gr.themes.Base(
    primary_hue="blue",
    neutral_hue="gray",
    radius_size="md",
    font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
    font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
)


def build(service: Service) -> gr.Blocks:
    """The page with its queue.

    Args:
        service: what analyzes, with its models loaded.
    """
    handlers, limits = Handlers(service), service.limits
    quiet: dict = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    # Gradio's own reading of a file leaves an empty one behind
    queued: dict = {"concurrency_id": "clips", "concurrency_limit": limits.workers, "preprocess": False}
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(LEAD, elem_id="lead")
        source = gr.State(FILE)
        with gr.Tabs():
            with gr.Tab("Clip"):
                with gr.Row(equal_height=False):
                    with gr.Column(scale=2, min_width=320):
                        with gr.Tabs():
                            with gr.Tab("File") as file_tab:
                                file = gr.File(
                                    label=f"Video or audio, up to {limits.minutes:g} minutes and {limits.megabytes:g} MB",
                                    file_types=["video", "audio", *sorted(MEDIA_SUFFIXES)],
                                    height=180,
                                    elem_id="clip",
                                )
                            with gr.Tab("Camera") as camera_tab, _told(quiet):
                                camera = gr.Video(
                                    sources=["webcam"],
                                    label="Camera and microphone",
                                    include_audio=True,
                                    webcam_options=gr.WebcamOptions(mirror=False),
                                    elem_id="camera",
                                )
                            with gr.Tab("Microphone") as microphone_tab, _told(quiet):
                                microphone = gr.Audio(
                                    sources=["microphone"], type="filepath", label="Microphone", elem_id="microphone"
                                )
                        with gr.Accordion("Options", open=False):
                            checkpoint = gr.Dropdown(
                                list(service.offer.checkpoints),
                                value=service.offer.checkpoints[0],
                                label="Checkpoint",
                                info="-mit: also for commercial use. -voice: hears, and sees nobody.",
                            )
                            person = gr.Dropdown(PERSONS, value=ALL, label="Persons")
                            abstain = gr.Slider(
                                0.0,
                                1.0,
                                service.offer.abstain,
                                step=0.05,
                                label="Lowest probability of an expression that is named",
                                info="Below it the answer is uncertain.",
                            )
                        with gr.Row():
                            analyze = gr.Button("Analyze", variant="primary", elem_id="analyze")
                            cancel = gr.Button("Cancel", elem_id="cancel", interactive=False)
                        gr.Markdown(PRIVACY, elem_classes="small")
                    with gr.Column(scale=3, min_width=320):
                        answer = gr.HTML(WAITING, elem_id="answer", min_height=64)
                        report = gr.HTML(elem_id="report")
                        files = gr.Files(label="Download", visible=False, interactive=False, elem_id="files")
            with gr.Tab("Live"):
                gr.Markdown(NOTICE, elem_classes="notice")
                live = gr.HTML(
                    html_template=_text("live.html"),
                    js_on_load=_text("live.js"),
                    apply_default_css=False,
                    elem_id="live",
                    checkpoint=service.offer.checkpoints[0],
                    abstain=service.offer.abstain,
                )
        for tab, component, role in (
            (file_tab, file, FILE),
            (camera_tab, camera, CAMERA),
            (microphone_tab, microphone, MICROPHONE),
        ):
            tab.select(lambda role=role: role, None, source, **quiet)
            component.change(handlers.holder(role), component, None, preprocess=False, **quiet)
        options = [checkpoint, person, abstain]
        run = analyze.click(lambda: gr.Button(interactive=True), None, cancel, **quiet).then(
            handlers.analyze,
            [source, file, camera, microphone, *options],
            [answer, report, files],
            api_visibility="private",
            show_progress_on=[answer],
            **queued,
        )
        run.then(lambda: gr.Button(interactive=False), None, cancel, **quiet)
        cancel.click(
            lambda: (CANCELED, "", gr.Files(None, visible=False), gr.Button(interactive=False)),
            None,
            [answer, report, files, cancel],
            cancels=[run],
            **quiet,
        )
        gr.on(
            [checkpoint.change, abstain.release],
            lambda name, least: gr.HTML(checkpoint=name, abstain=least),
            [checkpoint, abstain],
            live,
            **quiet,
        )
        blocks.unload(handlers.close)
        with gr.Row(visible=False):  # for programs
            sent, found, send = gr.File(label="clip"), gr.JSON(label="timeline"), gr.Button()
        send.click(handlers.predict, [sent, *options], found, api_name="predict", **queued)
    blocks.queue(max_size=limits.queue, api_open=False)
    return blocks


@contextmanager
def _told(quiet: dict) -> Iterator[None]:
    """A recorder that appears when the user has confirmed that everyone who is recorded knows."""
    gr.Markdown(NOTICE, elem_classes="notice")
    told = gr.Checkbox(label="Everyone who is recorded knows this", elem_classes="told")
    with gr.Column(visible=False) as recorder:
        yield
    told.change(lambda yes: gr.Column(visible=yes), told, recorder, **quiet)


def _text(name: str) -> str:
    """A file of this package."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


__all__ = ["STYLE", "THEME", "TITLE", "build"]
