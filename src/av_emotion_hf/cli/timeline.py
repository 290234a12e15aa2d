"""The command `timeline`: who shows what when in clips, as files."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ..errors import InputError, printable
from ..utils import require_writable
from .console import SecondsBar, progress, report, say, split_names
from .options import DATA, AsJson, Detector, Device, Fps, Readers

WINDOWS = "Windows and segments"
FILES = "Files"
STALL = 120.0  # seconds without a sign of life: a clip of hours is passed over once before its first window


def timeline(
    paths: Annotated[list[str], typer.Argument(help="Clips, folders of clips, or globs.")],
    out: Annotated[str, typer.Option(help="Folder for the files of each clip.")],
    formats: Annotated[
        str,
        typer.Option(
            help="Formats to write: csv,parquet,json,vtt,srt,eaf,textgrid,rttm,audacity,html. json is always written.",
            show_default="all",
            rich_help_panel=FILES,
        ),
    ] = "",
    plot: Annotated[
        str | None,
        typer.Option(
            help="With one clip: figure to write as well, such as clip.png or clip.pdf.", rich_help_panel=FILES
        ),
    ] = None,
    embed: Annotated[
        bool,
        typer.Option("--embed", help="Put the clip into its HTML report, as one file.", rich_help_panel=FILES),
    ] = False,
    no_faces: Annotated[
        bool, typer.Option("--no-faces", help="Leave the pictures of faces out of reports.", rich_help_panel=FILES)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.", rich_help_panel=FILES)
    ] = False,
    checkpoint: Annotated[
        str | None, typer.Option(help="Classifier; by default av-emotion-base, see `predict`.")
    ] = None,
    person: Annotated[
        str,
        typer.Option(
            help="Whose rows are made: all, largest, speaking (whose mouth moves with the audio), or one by name, "
            "such as person-2.",
            rich_help_panel=DATA,
        ),
    ] = "all",
    segments: Annotated[
        str | None,
        typer.Option(
            help="Segments to fill instead of windows: .rttm, .TextGrid, .eaf, .srt, .vtt, .csv; for several clips, a "
            "folder of files that are called as the clips are.",
            rich_help_panel=WINDOWS,
        ),
    ] = None,
    channels: Annotated[
        bool,
        typer.Option(
            "--channels",
            help="Both channels of a stereo recording, such as a call, are a person each; no face is looked for.",
            rich_help_panel=WINDOWS,
        ),
    ] = False,
    window: Annotated[float, typer.Option(help="Seconds of a window.", rich_help_panel=WINDOWS)] = 4.0,
    hop: Annotated[float, typer.Option(help="Seconds between the starts of windows.", rich_help_panel=WINDOWS)] = 2.0,
    smoothing: Annotated[
        float,
        typer.Option(
            help="Scores are averaged over windows whose centers are less than so many seconds away, with weights "
            "that fall linearly with the distance; 0: not.",
            rich_help_panel=WINDOWS,
        ),
    ] = 3.0,
    abstain: Annotated[
        float,
        typer.Option(
            help="Answer `uncertain` where the most probable emotion is less probable than this.",
            rich_help_panel=WINDOWS,
        ),
    ] = 0.4,
    hysteresis: Annotated[
        float,
        typer.Option(
            help="By how much another emotion has to be more probable to end a segment.", rich_help_panel=WINDOWS
        ),
    ] = 0.1,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="With --person NAME, largest or speaking: unlabeled clips of that person, see `predict`.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    device: Device = "auto",
    workers: Readers = None,
    as_json: AsJson = False,
) -> None:
    """Write who shows which emotion when: tables, subtitles, annotation tiers, and a report to look at.

    Run the same command again after an interruption: clips that are done are skipped, and the one that was interrupted
    resumes.
    """
    from transformers.utils import logging as transformers_logging

    from ..data.workers import call_in_workers
    from ..devices import available_cores
    from ..inference.predictor import EmotionPredictor
    from ..inference.timeline_run import HTML, PlannedClip, TimelineRun, planned_clips
    from ..inference.timelines import TimelineMaker
    from ..media import expand_paths
    from ..timeline.formats import FORMATS

    require_writable(out, is_folder=True)
    clips = planned_clips(expand_paths(paths), segments)
    if plot is not None:
        if len(clips) > 1:
            raise InputError(f"--plot {plot}: is of one clip, and there are {len(clips)}; leave it out")
        require_writable(plot)
    transformers_logging.disable_progress_bar()  # one bar over the clip is enough
    heard = expand_paths(baseline or []) or None
    predictor = EmotionPredictor(checkpoint, detector, fps, device=device, baseline=heard)
    maker = TimelineMaker(predictor, person, window, hop, smoothing, abstain, hysteresis, channels, not no_faces)
    run = TimelineRun(maker, out, split_names(formats) if formats else (*FORMATS, HTML), embed, overwrite)
    if len(clips) > 1:
        run.check_overview()
    typer.echo(str(predictor.choice), err=True)

    # in processes of their own: a clip that crashes its decoder is skipped, the others are unaffected
    count = min(len(clips), available_cores()) if workers is None else workers
    run.progress = SecondsBar() if len(clips) == 1 else run.progress
    found = call_in_workers(run, clips, count, stall=STALL, spawn=predictor.choice.device.type != "cpu")
    failures: dict[str, str] = {}
    done: list[PlannedClip] = []
    for outcome in progress(found, len(clips), "Timelines", "clip"):
        path = printable(outcome.item.path)
        if outcome.error is not None:
            failures[outcome.item.path] = outcome.error
            message = outcome.error if path in outcome.error else f"{path}: {outcome.error}"
            if as_json:
                say(json.dumps({"path": outcome.item.path, "error": message}, ensure_ascii=False))
            else:
                typer.echo(f"av-emotion: {message}", err=True)
            continue
        done.append(outcome.item)
        written = outcome.result
        line = f"{path}\t{'was done' if written.was_done else 'written'}: {', '.join(sorted(written.files))} in {out}"
        if written.is_empty:
            line += "; no emotion: neither audio nor a face was found"
        report(asdict(written), as_json, line)
    if plot is not None and done:
        run.timeline_of(done[0]).plot(plot)
    if len(clips) > 1:
        overview = run.write_overview(done, failures)
        if not as_json:
            say(f"{overview}\tall clips")
    if failures:
        raise typer.Exit(2 if len(clips) == 1 else 1)


__all__ = ["timeline"]
