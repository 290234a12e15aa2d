"""The command line: `av-emotion VERB`."""

import contextlib
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .options import (
    DATA,
    MODEL,
    RUN,
    Architecture,
    AsJson,
    Balance,
    BatchSize,
    Bf16,
    Config,
    Dataset,
    Detector,
    Device,
    Epochs,
    ExcludeGroups,
    ExtractModality,
    Form,
    Fps,
    FusionModality,
    GroupColumn,
    Init,
    LabelColumn,
    LabelSmoothing,
    LearningRate,
    Limit,
    MaxSteps,
    Modality,
    Objective,
    Out,
    ReportTo,
    Resume,
    SaveSteps,
    Seed,
    Speaker,
    Split,
    Streaming,
    WeightDecay,
    Workers,
)


def end_together(*_, **__) -> None:
    """Let processes that train together end together: one that leaves early takes down what the others still use."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


# A verb imports what it needs when it runs: data and media libraries take seconds.
app = typer.Typer(
    result_callback=end_together,
    help="Recognise emotion from voice and face; learn it from clips, most of them unlabelled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(help="Clips, folders of clips, or globs.")],
    checkpoint: Annotated[str | None, typer.Option(help="Classifier; the one in this package by default.")] = None,
    detector: Detector = "auto",
    fps: Fps = 10.0,
    speaker: Speaker = "size",
    window: Annotated[
        str, typer.Option(help="Seconds; longer clips are cut and their scores averaged. whole: do not cut.")
    ] = "10",
    device: Device = "auto",
    workers: Annotated[
        int | None, typer.Option(help="Processes that read; 0 for none.", min=0, show_default="one per core")
    ] = None,
    as_json: AsJson = False,
):
    """Say which emotion is in each clip."""
    from transformers.utils import logging as transformers_logging

    from ..checkpoints import DEFAULT_CHECKPOINT
    from ..data.workers import call_in_workers
    from ..devices import available_cores
    from ..inference.predictor import EmotionPredictor
    from ..media import expand_paths
    from ..models.windows_av_emotion import WHOLE

    clips = expand_paths(paths)
    transformers_logging.disable_progress_bar()  # one bar over the clips is enough
    length = window if window == WHOLE else parse_number(window, "--window")
    predictor = EmotionPredictor(checkpoint or DEFAULT_CHECKPOINT, detector, fps, length, device, speaker)
    typer.echo(str(predictor.choice), err=True)
    count = min(len(clips), available_cores()) if workers is None else workers
    failed = 0
    # in processes of their own, so that a clip that crashes its decoder costs that clip only
    for outcome in progress(
        call_in_workers(predictor, clips, count, spawn=predictor.choice.device.type != "cpu"),
        len(clips),
        "Predicting",
        "clip",
    ):
        failed += outcome.error is not None
        error = outcome.error and (
            outcome.error if outcome.item in outcome.error else f"{outcome.item}: {outcome.error}"
        )
        result = {"path": outcome.item, "error": error} if error else outcome.result.as_dict()
        if as_json:
            typer.echo(json.dumps(result, ensure_ascii=False))
        elif error:
            typer.echo(f"av-emotion: {error}", err=True)
        else:
            typer.echo(prediction_line(result))
    if failed:
        # a single clip that cannot be read is a mistake in the call; among others it is one that failed
        raise typer.Exit(2 if len(clips) == 1 and not as_json else 1)


@app.command()
def faces(
    clip: Annotated[str, typer.Argument(help="A video file.")],
    out: Annotated[str, typer.Option(help="Picture file to write, such as sheet.png.")],
    detector: Detector = "auto",
    speaker: Speaker = "size",
    fps: Fps = 10.0,
    as_json: AsJson = False,
):
    """Draw what the model sees of a clip: the face it follows, its crops, and where there is none."""
    from ..plots.contact_sheet import draw_faces

    found = draw_faces(clip, out, detector, fps, speaker)
    line = f"{out}: face in {found.face_coverage:.1%} of {found.frames} frames, detector {found.detector}"
    report(asdict(found), as_json, line)


@app.command()
def extract(
    dataset: Dataset,
    out: Out,
    modality: Annotated[ExtractModality, typer.Option(help="What to take out of a clip.")] = ExtractModality.both,
    form: Annotated[
        Form,
        typer.Option(
            "--as",
            help="inputs: sound and face crops; features: what frozen layers make of them; of voices also descriptors "
            "(a row per 10 ms) and functionals (a row per clip), as one .parquet or .csv file.",
        ),
    ] = Form.inputs,
    descriptors: Annotated[
        str | None, typer.Option(help="Names or families for --as descriptors; default: egemaps,voiced")
    ] = None,
    deltas: Annotated[bool, typer.Option("--deltas", help="Add the slope of each descriptor over time.")] = False,
    init: Init = None,
    split: Split = None,
    streaming: Streaming = False,
    group_column: GroupColumn = None,
    exclude_groups: ExcludeGroups = None,
    limit: Limit = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    speaker: Speaker = "size",
    window: Annotated[float, typer.Option(help="Seconds; a longer clip becomes several rows.", min=1)] = 60.0,
    rows_per_shard: Annotated[int, typer.Option(help="Clips in one Parquet file.", min=1)] = 500,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read; 0 for none.", min=0, show_default="one per core")
    ] = None,
    as_json: AsJson = False,
):
    """Read clips once; write inputs or features as Parquet, for the verbs below, or a table of their voices."""
    from ..checkpoints import build_model, fits
    from ..data.extraction import extract as run
    from ..data.features import FeatureReader
    from ..data.reader import ClipReader
    from ..devices import available_cores

    is_table = form in (Form.descriptors, Form.functionals)
    if is_table and modality is not ExtractModality.audio:
        raise InputError(f"--as {form.value} describes voices, not --modality {modality.value}: add --modality audio")
    if (descriptors or deltas) and form is not Form.descriptors:
        raise InputError(f"--descriptors and --deltas are for --as descriptors, not for --as {form.value}")
    corpus = open_part(dataset, split, streaming, group_column, exclude_groups, limit)
    if is_table:
        return extract_table(corpus, dataset, out, form.value, descriptors, deltas, as_json)
    feature_reader = None
    if form is Form.features:
        if modality is not ExtractModality.audio and not init:
            raise InputError("image features are made by a trained backbone: name its checkpoint with --init")
        wanted = ["audio", "image"] if modality is ExtractModality.both else [modality.value]
        starts = {name: build_model("pretraining", name, [c for c in init or [] if fits(c, name)]) for name in wanted}
        encoders = {name: beginning.model.base_model.eval() for name, beginning in starts.items()}
        processor = starts["image"].image_processor if "image" in starts else None
        feature_reader = FeatureReader(encoders.get("audio"), encoders.get("image"), processor)
    about = {
        "dataset": Path(dataset).name,
        "excluded_groups": names(exclude_groups),
        "modality": modality.value,
        "as": form.value,
        "init": [Path(name).name for name in init or []],
    }
    reader = ClipReader(modality.value, fps=fps, detector=detector, speaker=speaker, window=window)
    workers = available_cores() if workers is None else workers
    manifest = quietly(run, corpus, out, reader, feature_reader, rows_per_shard, workers, about)
    report_reading(manifest, as_json, out)


def extract_table(corpus, dataset, out, form, descriptors, deltas, as_json):
    """The part of `extract` that writes one table."""
    from ..acoustics.tables import write_table

    chosen = names(descriptors) or ["egemaps", "voiced"]
    about = {"dataset": Path(dataset).name, "as": form}
    if form == "descriptors":
        about |= {"descriptors": chosen, "deltas": deltas}
    root = Path(dataset).expanduser() if Path(dataset).expanduser().is_dir() else Path(dataset).expanduser().parent
    report_reading(quietly(write_table, corpus, out, form, chosen, deltas, root, about=about), as_json, out)


@app.command("train-expression")
def train_expression(
    dataset: Dataset,
    out: Out,
    label_column: LabelColumn = "emotion",
    image_column: Annotated[str, typer.Option(help="Column of the picture.", rich_help_panel=DATA)] = "image",
    split: Split = "train",
    validation_split: Annotated[
        str | None, typer.Option(help="Split that chooses the kept epoch.", rich_help_panel=DATA)
    ] = "validation",
    limit: Limit = None,
    workers: Workers = 0,
    architecture: Annotated[Architecture, typer.Option(help="Network.", rich_help_panel=MODEL)] = Architecture.resnet,
    image_size: Annotated[int, typer.Option(help="Side of the network's input.", min=32, rich_help_panel=MODEL)] = 96,
    init: Annotated[
        str | None,
        typer.Option(help="Image classifier to start from, instead of --architecture.", rich_help_panel=MODEL),
    ] = None,
    config: Config = None,
    mixup: Annotated[float, typer.Option(help="Alpha of mixup; 0 for none.", min=0, rich_help_panel=RUN)] = 0.0,
    balance: Annotated[
        Balance, typer.Option(help="Make rare classes count as much as others.", rich_help_panel=RUN)
    ] = Balance.none,
    epochs: Epochs = 30,
    max_steps: MaxSteps = -1,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 2e-3,
    weight_decay: WeightDecay = 0.05,
    label_smoothing: LabelSmoothing = 0.1,
    seed: Seed = 0,
    bf16: Bf16 = False,
    resume: Resume = False,
    report_to: ReportTo = "none",
    save_steps: SaveSteps = None,
    as_json: AsJson = False,
):
    """Train the expression recogniser on labelled face pictures; its last layer becomes the image features."""
    from ..training.arguments import RunOptions
    from ..training.expression import train_expression as run

    train = open_part(dataset, split, limit=limit)
    validation = open_part(dataset, validation_split, limit=limit) if validation_split else None
    options = RunOptions(
        out, epochs, max_steps, batch_size, learning_rate, weight_decay, label_smoothing=label_smoothing,
        seed=seed, bf16=bf16, workers=workers, resume=resume, report_to=report_to, save_steps=save_steps,
    )  # fmt: skip
    about = {"dataset": Path(dataset).name if Path(dataset).expanduser().exists() else dataset, "split": split}
    if validation is not None:
        about["validation_split"] = validation_split
    record = quietly(
        run, train, validation, options, image_column, label_column, architecture.value, image_size,
        read_settings(config), mixup, balance.value, init, about,
    )  # fmt: skip
    report(record, as_json, f"{out}: {scores_line(record)}")


@app.command()
def pretrain(
    datasets: Annotated[list[str], typer.Argument(help="Clips, or what `extract` wrote; no labels are read.")],
    out: Out,
    modality: Annotated[Modality, typer.Option(help="Which encoder.")],
    objective: Annotated[
        Objective | None,
        typer.Option(
            help="complete: 10 % single frames hidden, predict the whole sequence (patent, the default); hidden: half "
            "of the frames hidden in spans, predict these; future: predict frames ahead; mixed: the last two. "
            "--config changes the details.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    init: Init = None,
    config: Config = None,
    split: Split = None,
    streaming: Streaming = False,
    group_column: GroupColumn = None,
    exclude_groups: ExcludeGroups = None,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the groups (of each dataset) for the reported loss.", rich_help_panel=DATA)
    ] = 0.1,
    limit: Limit = None,
    statistics_limit: Annotated[
        int | None, typer.Option(help="Clips for mean and deviation of the features.", rich_help_panel=DATA)
    ] = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    workers: Workers = 0,
    epochs: Epochs = 20,
    max_steps: MaxSteps = -1,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 1e-3,
    weight_decay: WeightDecay = 0.01,
    seed: Seed = 0,
    bf16: Bf16 = False,
    resume: Resume = False,
    report_to: ReportTo = "none",
    save_steps: SaveSteps = None,
    as_json: AsJson = False,
):
    """Learn from unlabelled clips: hide frames, predict them."""
    from ..data.manifest import read_statistics
    from ..data.reader import ClipReader
    from ..data.schema import FEATURE_COLUMNS
    from ..data.splits import group_names, keep_groups, split_groups
    from ..training.arguments import RunOptions
    from ..training.pretrain import PRESETS
    from ..training.pretrain import pretrain as run
    from ..training.reconstruction import report_table

    settings = (PRESETS[objective.value] if objective else {}) | read_settings(config)
    train, validation, groups = [], [], {}
    for dataset in datasets:
        corpus = open_part(dataset, split, streaming, group_column, exclude_groups, limit)
        if group_column is None:
            train.append(corpus)
            continue
        parts = split_groups(group_names(corpus, group_column), validation_fraction=validation_fraction, seed=seed)
        groups[Path(dataset).name] = parts.as_dict()
        train.append(keep_groups(corpus, group_column, parts.train))
        if parts.validation:
            validation.append(keep_groups(corpus, group_column, parts.validation))
    options = RunOptions(
        out, epochs, max_steps, batch_size, learning_rate, weight_decay,
        seed=seed, bf16=bf16, workers=workers, resume=resume, report_to=report_to, save_steps=save_steps,
    )  # fmt: skip
    about = {
        "datasets": [Path(dataset).name for dataset in datasets],
        "groups": groups,
        "excluded_groups": names(exclude_groups),
    }
    reader = ClipReader(modality.value, fps=fps, detector=detector)
    is_whole = group_column is None and limit is None and statistics_limit is None
    statistics = read_statistics(datasets, FEATURE_COLUMNS[modality.value]) if is_whole else None
    record = quietly(
        run, train, validation, modality.value, options, reader, init, settings, statistics_limit, about, statistics
    )
    line = f"{out}: {scores_line(record)}"
    if "reconstruction" in record:
        line += f"\nerror on hidden frames, in variances of the corpus:\n{report_table(record['reconstruction'])}"
    report(record, as_json, line)


@app.command()
def reconstruct(
    checkpoint: Annotated[str, typer.Argument(help="What `pretrain` wrote.")],
    clip: Annotated[str, typer.Argument(help="A clip with sound, or with a face for a checkpoint of faces.")],
    out: Annotated[str, typer.Option(help="Picture file to write, such as picture.png.")],
    span: Annotated[
        int | None, typer.Option(help="Hidden frames in a row.", min=1, show_default="as in training")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Share of the frames to hide.", min=0, max=1, show_default="as in training")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Seconds to draw, from the start.", min=0.5, max=60)] = 10.0,
    seed: Seed = 0,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    as_json: AsJson = False,
):
    """Draw the true, the masked and the reconstructed features of a clip, one below the other."""
    from ..plots.reconstruction import draw_reconstruction

    result = draw_reconstruction(checkpoint, clip, out, span, share, seed, seconds, fps, detector)
    line = (
        f"{out}: {result['hidden_frames']} of {result['frames']} frames hidden, mean squared error "
        f"{result['model']:.3f}, of interpolation {result['interpolation']:.3f}"
    )
    report(result, as_json, line)


@app.command()
def finetune(
    dataset: Dataset,
    out: Out,
    modality: Annotated[FusionModality, typer.Option(help="Which classifier.")],
    label_column: LabelColumn = "emotion",
    group_column: GroupColumn = None,
    test_groups: Annotated[
        str | None, typer.Option(help="Groups never seen in training: 09,10", rich_help_panel=DATA)
    ] = None,
    validation_groups: Annotated[
        str | None, typer.Option(help="Groups that choose the kept epoch; drawn when left out.", rich_help_panel=DATA)
    ] = None,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the training groups that is drawn.", rich_help_panel=DATA)
    ] = 0.2,
    folds: Annotated[int | None, typer.Option(help="Deal the groups out into folds.", rich_help_panel=DATA)] = None,
    fold: Annotated[int | None, typer.Option(help="Which fold is the test, from 0.", rich_help_panel=DATA)] = None,
    init: Init = None,
    config: Config = None,
    split: Split = None,
    streaming: Streaming = False,
    limit: Limit = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    workers: Workers = 0,
    epochs: Epochs = 30,
    max_steps: MaxSteps = -1,
    batch_size: BatchSize = 16,
    learning_rate: LearningRate = 1e-3,
    slow_rate: Annotated[
        float, typer.Option(help="Factor on the rate of front-end and backbone.", rich_help_panel=RUN)
    ] = 0.1,
    weight_decay: WeightDecay = 0.01,
    label_smoothing: LabelSmoothing = 0.1,
    seed: Seed = 0,
    bf16: Bf16 = False,
    resume: Resume = False,
    report_to: ReportTo = "none",
    save_steps: SaveSteps = None,
    as_json: AsJson = False,
):
    """Train a classifier of voice, face or both on labelled clips."""
    from ..data.reader import ClipReader
    from ..data.splits import group_names, split_groups
    from ..training.arguments import RunOptions
    from ..training.finetune import finetune as run

    settings = read_settings(config)
    corpus = open_part(dataset, split, streaming, limit=limit)
    parts = None
    if group_column is not None:
        parts = split_groups(
            group_names(corpus, group_column), names(test_groups), names(validation_groups), validation_fraction,
            folds, fold, seed,
        )  # fmt: skip
    elif test_groups or validation_groups or folds is not None:
        raise InputError("test groups, validation groups and folds need to know the groups: add --group-column")
    options = RunOptions(
        out, epochs, max_steps, batch_size, learning_rate, weight_decay, label_smoothing=label_smoothing,
        seed=seed, bf16=bf16, workers=workers, resume=resume, report_to=report_to, save_steps=save_steps,
    )  # fmt: skip
    reader = ClipReader("both" if modality is FusionModality.fusion else modality.value, fps=fps, detector=detector)
    about = {"dataset": Path(dataset).name}
    record = quietly(
        run,
        corpus,
        parts,
        modality.value,
        options,
        reader,
        label_column,
        group_column,
        init,
        settings,
        slow_rate,
        about,
    )
    report(record, as_json, f"{out}: {scores_line(record)}")


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A classifier.")],
    dataset: Dataset,
    out: Annotated[str | None, typer.Option(help="JSON file to write.")] = None,
    label_column: LabelColumn = "emotion",
    group_column: GroupColumn = None,
    groups: Annotated[str | None, typer.Option(help="Groups to score: 09,10", rich_help_panel=DATA)] = None,
    modalities: Annotated[str, typer.Option(help="What a fusion model gets.", rich_help_panel=DATA)] = "audio,image",
    split: Split = None,
    streaming: Streaming = False,
    limit: Limit = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    batch_size: BatchSize = 16,
    as_json: AsJson = False,
):
    """Score a classifier: UAR, WAR, macro-F1, confusion matrix and protocol."""
    from ..data.splits import group_names, keep_groups
    from ..training.evaluation import evaluate as run

    corpus = open_part(dataset, split, streaming, limit=limit)
    if groups is not None:
        if group_column is None:
            raise InputError("--groups needs to know the groups: add --group-column")
        unknown = [name for name in names(groups) if name not in group_names(corpus, group_column)]
        if unknown:
            raise InputError(f"{group_column}: there is no group {unknown[0]!r} in {dataset}")
        corpus = keep_groups(corpus, group_column, names(groups))
    wanted = tuple(names(modalities))
    if not wanted or not set(wanted) <= {"audio", "image"}:
        raise InputError(f"--modalities {modalities!r} must be audio, image, or audio,image")
    protocol = {
        "dataset": Path(dataset).name,
        "split": split,
        "group_column": group_column,
        "groups": names(groups) or None,
        "seen_in_training": seen_in_training(checkpoint, names(groups)),
    }
    if protocol["seen_in_training"]:
        typer.echo(f"these groups trained the model: {', '.join(protocol['seen_in_training'])}", err=True)
    result = quietly(run, checkpoint, corpus, label_column, out, batch_size, wanted, fps, detector, protocol)
    line = (
        f"UAR {result['uar']:.3f}  WAR {result['war']:.3f}  macro-F1 {result['macro_f1']:.3f}  {result['clips']} clips"
    )
    report(result, as_json, line)


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="A classifier of clips.")],
    out: Annotated[str, typer.Option(help="File to write, such as model.onnx.")],
    int8: Annotated[bool, typer.Option("--int8", help="Weights of LSTMs and convolutions as 8-bit integers.")] = False,
    as_json: AsJson = False,
):
    """Write a classifier as one ONNX file: waveforms and face crops in, logits out."""
    from ..inference.export import export_onnx

    result = quietly(export_onnx, checkpoint, out, int8)
    line = f"{out}: {result['bytes'] / 1e6:.1f} MB, logits within {result['max_difference']:.1g} of the model's"
    report(result, as_json, line)


@app.command()
def push(
    folder: Annotated[str, typer.Argument(help="A checkpoint, or what `extract` wrote.")],
    repo: Annotated[str, typer.Argument(help="NAME or USER/NAME; made where it does not exist.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch; made where it does not exist.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go up, and send nothing.")] = False,
    license_name: Annotated[
        str | None, typer.Option("--license", help="For the card, as the Hub names it, such as cc-by-4.0.")
    ] = None,
    as_json: AsJson = False,
):
    """Put a checkpoint or extracted shards on the Hub, with the code that loads it and a card."""
    from ..hub.push import push as run

    result = quietly(run, folder, repo, private, revision, dry_run, license_name)
    for name in result.get("kept", ()):
        typer.echo(f"{name} was edited on the Hub and stays as it is there", err=True)
    lines = [f"{file['bytes']:>14,}  {file['path']}" for file in result["files"]] if dry_run else []
    outcome = "would go up" if dry_run else f"are at {result['url']}"
    lines.append(f"{len(result['files'])} files, {result['bytes'] / 1e6:.1f} MB, {outcome} ({result['kind']})")
    report(result, as_json, "\n".join(lines))


def open_part(dataset, split=None, streaming=False, group_column=None, exclude_groups=None, limit=None):
    """Open a corpus, without the groups to leave out, cut to its first rows."""
    from ..data.dataset import open_dataset, require_columns
    from ..data.splits import drop_groups

    corpus = open_dataset(dataset, split, streaming)
    require_columns(corpus, group_column)
    if exclude_groups:
        if group_column is None:
            raise InputError("--exclude-groups needs to know the groups: add --group-column")
        corpus = drop_groups(corpus, group_column, names(exclude_groups))
    return corpus.take(limit) if limit else corpus


def seen_in_training(checkpoint: str, groups: list[str]) -> list[str]:
    """Which of `groups` the checkpoint's own record names for training or validation."""
    record = Path(checkpoint) / "run.json"
    if not record.is_file():
        return []
    parts = json.loads(record.read_text(encoding="utf-8"))["settings"].get("groups") or {}
    return sorted(set(groups) & {*parts.get("train", ()), *parts.get("validation", ())})


def names(text: str | None) -> list[str]:
    """`"09, 10"` to `["09", "10"]`."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def read_settings(config: str | None) -> dict:
    """Configuration fields from JSON text or a JSON file."""
    if config is None:
        return {}
    is_text = config.lstrip().startswith("{")
    if not is_text and not Path(config).is_file():
        raise InputError(f"--config {config}: no such file; give a JSON file or JSON text in braces")
    try:
        settings = json.loads(config if is_text else Path(config).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"--config {config}: is not JSON ({error}); see the configuration classes for the fields"
        ) from error
    if not isinstance(settings, dict):
        raise InputError(f"--config {config}: must be a JSON object of configuration fields")
    return settings


def parse_number(text: str, option: str) -> float:
    """A number that was given as text."""
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{option} {text!r}: is not a number; use 10, for instance") from error


def progress(items, total: int, description: str, unit: str):
    """The items, behind a progress bar on a terminal when there are several."""
    from tqdm.auto import tqdm

    return tqdm(items, total=total, desc=description, unit=unit, disable=total < 2 or not sys.stderr.isatty())


def prediction_line(result: dict) -> str:
    """One prediction for a person to read."""
    if result["emotion"] is None:
        return f"{result['path']}\tno emotion: neither sound nor a face was found"
    best = "  ".join(f"{name} {score:.2f}" for name, score in list(result["scores"].items())[:3])
    return (
        f"{result['path']}\t{result['emotion']}\t{best}\t({'+'.join(result['modalities'])}, "
        f"{result['duration']:.1f} s, face in {result['face_coverage']:.0%} of frames)"
    )


def scores_line(record: dict) -> str:
    """Validation scores of a run for a person to read."""
    shown = {
        name.removeprefix("validation_"): value
        for name, value in record["scores"].items()
        if name.removeprefix("validation_") in ("loss", "uar", "war", "macro_f1")
    }
    return "validation " + "  ".join(f"{name} {value:.3f}" for name, value in shown.items()) if shown else "done"


def quietly(run, *args, **kwargs) -> dict:
    """Run a recipe; what libraries print on the way goes to standard error, so that the result stands alone."""
    with contextlib.redirect_stdout(sys.stderr):
        return run(*args, **kwargs)


def report_reading(summary: dict, as_json: bool, out: str) -> None:
    """Print what came of reading clips; those that were left out go to standard error."""
    for failure in summary["failures"]:
        typer.echo(f"left out {failure.get('clip') or 'row ' + str(failure['row'])}: {failure['error']}", err=True)
    line = f"{out}: {summary['clips']} clips, {summary['seconds'] / 60:.1f} minutes"
    report(summary, as_json, line if summary.get("complete", True) else f"{line}; other processes are still at work")


def report(result: dict, as_json: bool, line: str) -> None:
    """Print the outcome of a verb, once however many processes ran it."""
    if os.environ.get("RANK", "0") == "0":
        typer.echo(json.dumps(result, ensure_ascii=False) if as_json else line)


def main() -> None:
    """Run the command line: a user's mistake is one line on standard error and exit status 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    from huggingface_hub.errors import StrictDataclassError

    try:
        app()
    except InputError as error:
        message = str(error)
    except StrictDataclassError as error:
        message = str(error).strip().splitlines()[-1].strip().removeprefix("ValueError: ")
    else:
        return
    typer.echo(f"av-emotion: {message}", err=True)
    sys.exit(2)


__all__ = ["app", "main"]
