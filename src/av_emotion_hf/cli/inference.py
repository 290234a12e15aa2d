"""Commands that use trained models: predict, faces, evaluate, reconstruct, export."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..errors import InputError, printable
from ..utils import require_writable
from .console import base_name, parse_number, progress, quietly, report, say, show_outcome, split_names
from .options import (
    DATA,
    AnnotatorColumns,
    AsJson,
    Dataset,
    Detector,
    Device,
    Fps,
    GroupColumn,
    IgnoredVotes,
    Limit,
    MinVotes,
    Person,
    Readers,
    Seed,
    Speaker,
    Split,
    Streaming,
    VoteColumns,
    VotedColumn,
    VoteLabels,
    chosen_person,
    vote_options,
)


def predict(
    paths: Annotated[list[str], typer.Argument(help="Clips, folders of clips, or globs.")],
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Classifier; by default av-emotion-base of this package, for voice, face or both. Others here: "
            "av-emotion-base-mit, whose license (MIT) and data allow commercial use, and av-emotion-voice-small, of "
            "2 MB, for voices on small machines."
        ),
    ] = None,
    detector: Detector = "auto",
    fps: Fps = 10.0,
    person: Person = "largest",
    speaker: Speaker = None,
    window: Annotated[
        str, typer.Option(help="Seconds; longer clips are cut and their scores averaged. whole: do not cut.")
    ] = "10",
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="Unlabeled clips of the person in the clips, a folder or glob of them; may be repeated.",
            show_default=False,
        ),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(
            help="Of a dataset in place of clips, the column of the person: all clips of a person are its baseline."
        ),
    ] = None,
    balanced: Annotated[
        bool,
        typer.Option(
            "--balanced",
            help="With --group-column: balance the scores over each person's clips, so that every emotion is as "
            "frequent. Only where each person's clips hold every emotion about equally often, as in an experiment "
            "with balanced conditions; not for an interview.",
        ),
    ] = False,
    abstain: Annotated[
        float,
        typer.Option(
            help="Answer `uncertain` where the most probable emotion is less probable than this, such as 0.6.",
            show_default="always answer",
        ),
    ] = 0.0,
    device: Device = "auto",
    workers: Readers = None,
    as_json: AsJson = False,
) -> None:
    """Predict the emotion in each clip, or with --person all of each person in it."""
    from transformers.utils import logging as transformers_logging

    from ..data.workers import Outcome, call_in_workers
    from ..devices import available_cores
    from ..inference.groups import (
        GroupedClip,
        GroupPredictor,
        balanced_outcomes,
        baseline_of,
        baselines_of,
        grouped_clips,
    )
    from ..inference.predictor import DIGITS, EmotionPredictor
    from ..media import expand_paths
    from ..models.persons_av_emotion import ALL, LARGEST, SPEAKING
    from ..models.windows_av_emotion import WHOLE

    person = chosen_person(person, speaker)
    if balanced and group_column is None:
        raise InputError("--balanced balances the clips of each person: add --group-column, the column of the person")
    if group_column is None:
        clips = [GroupedClip(path, path, None) for path in expand_paths(paths)]
    else:
        if baseline:
            raise InputError("--baseline is one person's, and --group-column makes one for each: give one of them")
        if person == ALL:
            raise InputError(f"--group-column says who is in each clip, and --person {ALL} finds several: give one")
        if len(paths) > 1:
            raise InputError(
                f"--group-column needs one dataset, such as a table file, and there are {len(paths)} paths"
            )
        clips = grouped_clips(paths[0], group_column)
    heard = [GroupedClip(path, path, None) for path in expand_paths(baseline or [])]
    transformers_logging.disable_progress_bar()  # one bar over the clips is enough
    length = window if window == WHOLE else parse_number(window, "--window")
    predictor = EmotionPredictor(checkpoint, detector, fps, length, device, person, abstain=abstain)
    typer.echo(str(predictor.choice), err=True)

    def outcomes(function: Callable, items: list[GroupedClip], description: str) -> Iterable[Outcome]:
        """In processes of their own: a clip that crashes its decoder is skipped, the others are unaffected."""
        count = min(len(items), available_cores()) if workers is None else workers
        found = call_in_workers(function, items, count, spawn=predictor.choice.device.type != "cpu")
        return progress(found, len(items), description, "clip")

    grouped = GroupPredictor(predictor, digits=None if balanced else DIGITS)
    if heard:
        predictor.baseline = baseline_of(outcomes(grouped.measure, heard, "Measuring the baseline"))
    elif group_column is not None:
        grouped.baselines = baselines_of(outcomes(grouped.measure, clips, "Measuring baselines"))
    with_person = person not in (LARGEST, SPEAKING)
    failed, found = 0, outcomes(grouped, clips, "Predicting")
    for outcome in balanced_outcomes(found, abstain) if balanced else found:
        failed += outcome.error is not None
        name = printable(outcome.item.name)
        error = outcome.error and (outcome.error if name in outcome.error else f"{name}: {outcome.error}")
        if error and not as_json:
            typer.echo(f"av-emotion: {error}", err=True)
            continue
        found_persons = outcome.result if isinstance(outcome.result, list) else [outcome.result]
        for result in (
            [{"path": outcome.item.name, "error": error}] if error else [one.as_dict() for one in found_persons]
        ):
            say(json.dumps(result, ensure_ascii=False) if as_json else _prediction_line(result, with_person))
    if failed:
        # a single clip that cannot be read is a mistake in the call; among others it is one that failed
        raise typer.Exit(2 if len(clips) == 1 and not as_json else 1)


def faces(
    clip: Annotated[str, typer.Argument(help="A video file.")],
    out: Annotated[str, typer.Option(help="Image file to write, such as sheet.png.")],
    detector: Detector = "auto",
    person: Person = "all",
    speaker: Speaker = None,
    fps: Fps = 10.0,
    as_json: AsJson = False,
) -> None:
    """Draw what the model sees of a clip: the persons with their names, their crops, and where nobody is."""
    from ..plots.contact_sheet import draw_faces

    found = draw_faces(clip, out, detector=detector, fps=fps, person=chosen_person(person, speaker))
    lines = [f"{out}: face in {found.face_coverage:.1%} of {found.frames} frames, detector {found.detector}"]
    lines += [f"{one.name}\t{one.seconds:.1f} s, {one.face_coverage:.1%} of the frames" for one in found.persons]
    report(asdict(found), as_json, "\n".join(lines))


def reconstruct(
    checkpoint: Annotated[str, typer.Argument(help="What `pretrain` wrote.")],
    clip: Annotated[str, typer.Argument(help="A clip with audio, or with a face for an image checkpoint.")],
    out: Annotated[str, typer.Option(help="Image file to write, such as features.png.")],
    span: Annotated[
        int | None, typer.Option(help="Hidden frames in a row.", min=1, show_default="as in training")
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(help="Fraction of the frames to hide.", min=0, max=1, show_default="as in training"),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Seconds to draw, from the start.", min=0.5, max=60)] = 10.0,
    seed: Seed = 0,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw the true, the masked and the reconstructed features of a clip, one below the other."""
    from ..plots.reconstruction import draw_reconstruction

    result = draw_reconstruction(checkpoint, clip, out, span, share, seed, seconds, fps=fps, detector=detector)
    line = (
        f"{out}: {result['hidden_frames']} of {result['frames']} frames hidden, mean squared error "
        f"{result['model']:.3f}, of interpolation {result['interpolation']:.3f}"
    )
    report(result, as_json, line)


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A classifier.")],
    dataset: Dataset,
    out: Annotated[str | None, typer.Option(help="JSON file to write.")] = None,
    report_page: Annotated[
        str | None,
        typer.Option("--report", help="HTML file to write: confusion, calibration, groups, protocol.", metavar="FILE"),
    ] = None,
    label_column: VotedColumn = "emotion",
    vote_columns: VoteColumns = None,
    annotator_columns: AnnotatorColumns = None,
    vote_labels: VoteLabels = None,
    ignored_votes: IgnoredVotes = None,
    min_votes: MinVotes = 1,
    group_column: GroupColumn = None,
    groups: Annotated[str | None, typer.Option(help="Groups to score: 09,10", rich_help_panel=DATA)] = None,
    modalities: Annotated[
        str, typer.Option(help="Input of a fusion model: audio, image, or both.", rich_help_panel=DATA)
    ] = "audio,image",
    person_baseline: Annotated[
        bool,
        typer.Option(
            "--person-baseline",
            help="Standardize each clip by all clips of its group, without labels.",
            rich_help_panel=DATA,
        ),
    ] = False,
    baseline_clips: Annotated[
        int | None,
        typer.Option(
            help="With --person-baseline: by so many other clips of its group, drawn with --seed.",
            min=1,
            show_default="all of the group",
            rich_help_panel=DATA,
        ),
    ] = None,
    balanced: Annotated[
        bool,
        typer.Option(
            "--balanced",
            help="Balance the scores over each group, so that every class is as frequent, without labels. Only where "
            "the clips of each group hold every class about equally often, as in an experiment with balanced "
            "conditions.",
            rich_help_panel=DATA,
        ),
    ] = False,
    split: Split = None,
    streaming: Streaming = False,
    limit: Limit = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    batch_size: Annotated[int, typer.Option(help="Clips (images) per step.", min=1)] = 16,
    seed: Annotated[int, typer.Option(help="Of the clips that --baseline-clips draws.")] = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Score a classifier: UAR, WAR, macro-F1, confusion matrix and protocol."""
    from ..data.reader import ReaderOptions
    from ..data.selection import open_selection
    from ..plots.evaluation_page import write_evaluation_report
    from ..training.evaluation import evaluate as run
    from ..training.evaluation import seen_in_training

    for name in filter(None, (out, report_page)):
        require_writable(name)  # before a dataset is downloaded
    chosen = None if groups is None else split_names(groups)
    rows = open_selection(
        dataset,
        split,
        streaming,
        group_column=None if groups is None else group_column,
        groups=chosen,
        limit=limit,
        label_column=label_column,
    )
    wanted = tuple(split_names(modalities))
    if not wanted or not set(wanted) <= {"audio", "image"}:
        raise InputError(f"--modalities {modalities!r} must be audio, image, or audio,image")
    protocol = {
        "dataset": base_name(dataset),
        "split": split,
        "group_column": group_column,
        "groups": chosen or None,
        "seen_in_training": seen_in_training(checkpoint, chosen or []),
    }
    if protocol["seen_in_training"]:
        typer.echo(
            f"the model was trained or validated on these groups: {', '.join(protocol['seen_in_training'])}", err=True
        )

    def show(result: dict[str, Any]) -> None:
        report(result, as_json, _scores_line(result))
        if report_page is not None:
            write_evaluation_report(result, report_page)

    show_outcome(
        show,
        run,
        checkpoint,
        rows,
        label_column=label_column,
        votes=vote_options(vote_columns, vote_labels, ignored_votes, min_votes, annotator_columns),
        out=out,
        batch_size=batch_size,
        modalities=wanted,
        reader_options=ReaderOptions(fps=fps, detector=detector),
        device=device,
        group_column=group_column,
        person_baseline=person_baseline,
        baseline_clips=baseline_clips,
        balanced=balanced,
        seed=seed,
        protocol=protocol,
    )


def export(
    checkpoint: Annotated[str, typer.Argument(help="A classifier of clips.")],
    out: Annotated[str, typer.Option(help="File to write, such as model.onnx.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Store the weights of LSTMs and convolutions as 8-bit integers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a classifier as one ONNX file: waveforms and face crops in, logits out."""
    from ..inference.export import export_onnx

    result = quietly(export_onnx, checkpoint, out, int8)
    line = f"{out}: {result['bytes'] / 1e6:.1f} MB, logits within {result['max_difference']:.1g} of the model's"
    report(result, as_json, line)


def _scores_line(result: dict[str, Any]) -> str:
    labels, missing = result["labels"], result["not_tested"]
    line = (
        f"UAR {result['uar']:.3f}  WAR {result['war']:.3f}  macro-F1 {result['macro_f1']:.3f}  {result['clips']} clips"
    )
    if result["protocol"]["person_baseline"] is not None:
        line += ", with the person's baseline"
    if result["protocol"]["balanced"] is not None:
        line += ", balanced over each group"
    if votes := result["protocol"]["votes"]:
        line += f" with a majority of votes, {sum(votes['left_out'].values())} left out"
    if missing:
        line = f"over {len(labels) - len(missing)} of {len(labels)} classes (no clip of {', '.join(missing)}): {line}"
    if result["no_answer"]:
        line += f", {sum(result['no_answer'].values())} with neither audio nor a face, which count as wrong"
    return line


def _prediction_line(result: dict[str, Any], with_person: bool = False) -> str:
    name = printable(result["path"]) + (f"\t{result['person'] or 'nobody seen'}" if with_person else "")
    if result["emotion"] is None:
        return f"{name}\tno emotion: neither audio nor a face was found"
    best = "  ".join(f"{name} {score:.2f}" for name, score in list(result["scores"].items())[:3])
    used = result["baseline"]
    mark = "" if used is None else f", baseline of {used['clips']} clip(s), {used['seconds']:.1f} s"
    mark += ", balanced over its group" if result["balanced"] else ""
    shares = result["modality_shares"]
    mark += f", {shares['audio']:.0%} by the voice" if shares and len(result["modalities"]) > 1 else ""
    return (
        f"{name}\t{result['emotion']}\t{best}\t({'+'.join(result['modalities'])}, "
        f"{result['duration']:.1f} s, face in {result['face_coverage']:.0%} of frames{mark})"
    )


__all__ = ["evaluate", "export", "faces", "predict", "reconstruct"]
