"""Commands that train: train-expression, pretrain, finetune."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .console import base_name, report, show_outcome, split_names
from .options import (
    DATA,
    MODEL,
    RUN,
    AnnotatorColumns,
    Architecture,
    AsJson,
    Augment,
    Balance,
    Calibrate,
    Config,
    Dataset,
    Detector,
    ExcludeGroups,
    Fps,
    FusionModality,
    GroupColumn,
    HeadFirst,
    IgnoredVotes,
    Init,
    LabelSmoothing,
    Limit,
    MinVotes,
    Modality,
    Objective,
    PersonBaselineShare,
    PictureAugment,
    PseudoFraction,
    PseudoLabels,
    PseudoThreshold,
    SpeechEncoder,
    SpeechLayers,
    Split,
    Streaming,
    TrainingOptions,
    VoteColumns,
    VotedColumn,
    VoteLabels,
    VoteTargets,
    training_options,
    vote_options,
)


@training_options(epochs=30, batch_size=64, learning_rate=2e-3, weight_decay=0.05)
def train_expression(
    dataset: Dataset,
    run: TrainingOptions,
    label_column: VotedColumn = "emotion",
    vote_columns: VoteColumns = None,
    annotator_columns: AnnotatorColumns = None,
    vote_labels: VoteLabels = None,
    ignored_votes: IgnoredVotes = None,
    min_votes: MinVotes = 1,
    targets: VoteTargets = "distribution",
    image_column: Annotated[str, typer.Option(help="Column of the image.", rich_help_panel=DATA)] = "image",
    split: Split = "train",
    validation_split: Annotated[
        str | None, typer.Option(help="Split that chooses the kept epoch.", rich_help_panel=DATA)
    ] = "validation",
    limit: Limit = None,
    architecture: Annotated[Architecture, typer.Option(help="Network.", rich_help_panel=MODEL)] = "resnet",
    image_size: Annotated[int, typer.Option(help="Side of the network's input.", min=32, rich_help_panel=MODEL)] = 96,
    init: Annotated[
        str | None,
        typer.Option(
            help="Image classifier to start from, instead of --architecture: a folder that this command wrote, or a "
            "ResNet, MobileNetV2 or network of timm, as a folder or Hub name.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    config: Config = None,
    slow_rate: Annotated[
        float,
        typer.Option(help="With --init: factor on the learning rate of all layers but the last.", rich_help_panel=RUN),
    ] = 0.1,
    freeze_epochs: Annotated[
        int,
        typer.Option(
            help="With --init: first epochs in which only the last layer learns.", min=0, rich_help_panel=RUN
        ),
    ] = 0,
    augment: PictureAugment = None,
    mixup: Annotated[float, typer.Option(help="Alpha of mixup; 0 for none.", min=0, rich_help_panel=RUN)] = 0.0,
    balance: Annotated[
        Balance, typer.Option(help="Make rare classes count as much as others.", rich_help_panel=RUN)
    ] = "none",
    label_smoothing: LabelSmoothing = 0.1,
    as_json: AsJson = False,
) -> None:
    """Train the expression recognizer on labeled face images; its last layer becomes the image features.

    Labels may be votes of many annotators. Scores then count the images on whose class more than half of the votes
    agree, as in FER+: its protocol is --vote-columns neutral,happiness,... --ignored-votes unknown,NF --min-votes 2.
    """
    from ..data.selection import open_selection
    from ..training import read_config_overrides
    from ..training.expression import train_expression as recipe

    train = open_selection(dataset, split, limit=limit, label_column=label_column)
    validation = (
        open_selection(dataset, validation_split, limit=limit, label_column=label_column) if validation_split else None
    )
    name = base_name(dataset) if Path(dataset).expanduser().exists() else dataset
    metadata = {"dataset": name, "split": split}
    if validation is not None:
        metadata["validation_split"] = validation_split

    def show(record: dict[str, Any]) -> None:
        report(record, as_json, f"{run.out}: {_scores_line(record)}")

    show_outcome(
        show,
        recipe,
        train,
        validation,
        args=run.arguments(label_smoothing_factor=label_smoothing, slow_rate=slow_rate),
        image_column=image_column,
        label_column=label_column,
        votes=vote_options(vote_columns, vote_labels, ignored_votes, min_votes, annotator_columns),
        targets=targets,
        architecture=architecture,
        image_size=image_size,
        config_overrides=read_config_overrides(config),
        augment=read_config_overrides(augment, "--augment"),
        mixup=mixup,
        balance=balance,
        init=init,
        freeze_epochs=freeze_epochs,
        metadata=metadata,
    )


@training_options(epochs=20)
def pretrain(
    datasets: Annotated[list[str], typer.Argument(help="Clips, or what `extract` wrote; no labels are read.")],
    run: TrainingOptions,
    modality: Annotated[Modality, typer.Option(help="Which encoder.")],
    objective: Annotated[
        Objective | None,
        typer.Option(
            help="complete: hide 10 % single frames, predict the whole sequence (patent, the default); hidden: hide "
            "half of the frames in spans, predict these; future: predict frames ahead; mixed: the last two; distill: "
            "predict the frames of a speech encoder, from what `extract --as features --speech-encoder` wrote. "
            "--config changes the details.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    init: Init = None,
    speech_encoder: SpeechEncoder = None,
    speech_layers: SpeechLayers = None,
    config: Config = None,
    split: Split = None,
    streaming: Streaming = False,
    group_column: GroupColumn = None,
    exclude_groups: ExcludeGroups = None,
    validation_fraction: Annotated[
        float,
        typer.Option(help="Fraction of the groups (of each dataset) for the reported loss.", rich_help_panel=DATA),
    ] = 0.1,
    limit: Limit = None,
    statistics_limit: Annotated[
        int | None,
        typer.Option(help="Clips from which mean and deviation of the features are estimated.", rich_help_panel=DATA),
    ] = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    as_json: AsJson = False,
) -> None:
    """Learn from unlabeled clips: hide frames, predict them."""
    from ..data.manifest import read_speech_encoders, read_statistics
    from ..data.reader import ReaderOptions
    from ..data.schema import FEATURE_COLUMNS
    from ..data.selection import open_selection
    from ..training import PRESETS, hold_out_groups, read_config_overrides, report_table
    from ..training.pretraining import pretrain as recipe

    config_overrides = (PRESETS[objective] if objective else {}) | read_config_overrides(config)
    excluded = split_names(exclude_groups)
    parts = [
        open_selection(name, split, streaming, group_column=group_column, exclude_groups=excluded, limit=limit)
        for name in datasets
    ]
    validation, groups = [], {}
    if group_column is not None:
        named = zip(map(base_name, datasets), parts, strict=True)
        parts, validation, groups = hold_out_groups(named, group_column, validation_fraction, run.seed)
    is_whole = group_column is None and limit is None and statistics_limit is None

    def show(record: dict[str, Any]) -> None:
        line = f"{run.out}: {_scores_line(record)}"
        if "reconstruction" in record:
            line += f"\nerror on hidden frames, in variances of the dataset:\n{report_table(record['reconstruction'])}"
        if "distillation" in record:
            error, of_hidden, of_mean = (record["distillation"][f"error{of}"] for of in ("", "_of_hidden", "_of_mean"))
            line += f"\nerror of the predicted states, in variances of the dataset: {error:.3f}, in hidden frames "
            line += f"{of_hidden:.3f}, of the same state everywhere {of_mean:.3f}"
        report(record, as_json, line)

    show_outcome(
        show,
        recipe,
        parts,
        validation,
        args=run.arguments(),
        modality=modality,
        init=init,
        speech_encoder=speech_encoder,
        speech_layers=speech_layers,
        config_overrides=config_overrides,
        reader_options=ReaderOptions(fps=fps, detector=detector),
        statistics=read_statistics(datasets, FEATURE_COLUMNS[modality]) if is_whole else None,
        statistics_limit=statistics_limit,
        metadata={
            "datasets": [base_name(name) for name in datasets],
            "groups": groups,
            "excluded_groups": excluded,
            "extracted_with": read_speech_encoders(datasets),
        },
    )


@training_options(epochs=30, batch_size=16)
def finetune(
    datasets: Annotated[
        list[str],
        typer.Argument(help="Folders of clips or Parquet files, table files, or Hub datasets; several become one."),
    ],
    run: TrainingOptions,
    modality: Annotated[FusionModality, typer.Option(help="Which classifier.")],
    label_column: VotedColumn = "emotion",
    vote_columns: VoteColumns = None,
    annotator_columns: AnnotatorColumns = None,
    vote_labels: VoteLabels = None,
    ignored_votes: IgnoredVotes = None,
    min_votes: MinVotes = 1,
    targets: VoteTargets = "distribution",
    label_map: Annotated[
        str | None,
        typer.Option(
            help='New names of classes, as JSON or a JSON file: {"calm": "neutral", "bored": null}; null leaves one '
            "out. By the name of a dataset it may have a map of its own.",
            rich_help_panel=DATA,
        ),
    ] = None,
    group_column: GroupColumn = None,
    test_groups: Annotated[
        str | None, typer.Option(help="Groups never seen in training: 09,10", rich_help_panel=DATA)
    ] = None,
    validation_groups: Annotated[
        str | None, typer.Option(help="Groups that choose the kept epoch; drawn by default.", rich_help_panel=DATA)
    ] = None,
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction of the training groups that is drawn.", rich_help_panel=DATA)
    ] = 0.2,
    folds: Annotated[int | None, typer.Option(help="Number of cross-validation folds.", rich_help_panel=DATA)] = None,
    fold: Annotated[int | None, typer.Option(help="Which fold is the test, from 0.", rich_help_panel=DATA)] = None,
    init: Init = None,
    speech_encoder: SpeechEncoder = None,
    speech_layers: SpeechLayers = None,
    config: Config = None,
    split: Split = None,
    streaming: Streaming = False,
    limit: Limit = None,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    augment: Augment = None,
    slow_rate: Annotated[
        float, typer.Option(help="Factor on the learning rate of front-end and backbone.", rich_help_panel=RUN)
    ] = 0.1,
    layer_decay: Annotated[
        float,
        typer.Option(
            help='Factor on it from each layer of a speech encoder to the one below; trained with {"freeze_backbone": '
            "false} as --config only.",
            rich_help_panel=RUN,
        ),
    ] = 0.9,
    label_smoothing: LabelSmoothing = 0.1,
    person_baseline: PersonBaselineShare = 0.0,
    head_first: HeadFirst = False,
    calibrate: Calibrate = False,
    pseudo_labels: PseudoLabels = None,
    pseudo_threshold: PseudoThreshold = 0.3,
    pseudo_fraction: PseudoFraction = 0.5,
    as_json: AsJson = False,
) -> None:
    """Train a classifier of voice, face or both on labeled clips.

    Labels may be those of several annotators. Scores then count the clips on whose class more than half of them agree.
    """
    from ..data.augmentation import check_augmentations
    from ..data.reader import ReaderOptions
    from ..data.selection import open_selection
    from ..data.splits import group_names, split_groups
    from ..training import read_config_overrides
    from ..training.finetuning import finetune as recipe
    from ..training.person_baselines import require_persons

    config_overrides = read_config_overrides(config)
    require_persons(person_baseline, group_column)
    augmentations = read_config_overrides(augment, "--augment")
    reader_options = ReaderOptions(fps=fps, detector=detector)
    opened = [open_selection(name, split, streaming, limit=limit, label_column=label_column) for name in datasets]
    for each in opened:  # before the clips of several are read
        check_augmentations(augmentations, modality, each)
    votes = vote_options(vote_columns, vote_labels, ignored_votes, min_votes, annotator_columns)
    rows, corpus_column = opened[0], None
    if len(datasets) > 1 or label_map is not None:
        if any(votes.are_in(each, label_column) for each in opened):
            raise InputError(
                "votes are learned from one dataset, without --label-map; put their mode into a column of its own in "
                "each dataset"
            )
        from ..data.corpora import CORPUS, join_datasets
        from ..data.reader import ClipReader

        named = list(zip(map(base_name, datasets), opened, strict=True))
        reader = ClipReader("both" if modality == "fusion" else modality, reader_options)
        new_names = read_config_overrides(label_map, "--label-map")
        rows = join_datasets(named, label_column, group_column, reader, new_names, run.workers or None)
        corpus_column = CORPUS
    parts = None
    if group_column is not None:
        parts = split_groups(
            group_names(rows, group_column),
            split_names(test_groups),
            split_names(validation_groups),
            validation_fraction,
            folds,
            fold,
            run.seed,
        )
    elif test_groups or validation_groups or folds is not None:
        raise InputError("test groups, validation groups and folds need to know the groups: add --group-column")

    train: Callable[..., dict[str, Any]] = recipe
    pseudo: dict[str, Any] = {}
    if pseudo_labels:
        from ..training.self_training import self_train

        train = self_train
        pool = [(base_name(name), open_selection(name, streaming=streaming)) for name in pseudo_labels]
        pseudo = {"pool": pool, "threshold": pseudo_threshold, "fraction": pseudo_fraction}

    def show(record: dict[str, Any]) -> None:
        report(record, as_json, f"{run.out}: {_scores_line(record)}")

    show_outcome(
        show,
        train,
        rows,
        parts,
        **pseudo,
        args=run.arguments(label_smoothing_factor=label_smoothing, slow_rate=slow_rate, layer_decay=layer_decay),
        modality=modality,
        label_column=label_column,
        votes=votes,
        targets=targets,
        group_column=group_column,
        corpus_column=corpus_column,
        init=init,
        speech_encoder=speech_encoder,
        speech_layers=speech_layers,
        config_overrides=config_overrides,
        person_baseline=person_baseline,
        head_first=head_first,
        calibrate=calibrate,
        reader_options=reader_options,
        augment=augmentations,
        metadata={"dataset": ", ".join(map(base_name, datasets))},
    )


def _scores_line(record: dict[str, Any]) -> str:
    """Validation scores of a run in one line."""
    shown = {
        name.removeprefix("validation_"): value
        for name, value in record["scores"].items()
        if name.removeprefix("validation_") in ("loss", "uar", "war", "macro_f1")
    }
    if not shown:
        return "done"
    counts = (record["settings"].get("clips") or record["settings"].get("pictures") or {}).get("validation") or {}
    tested = sum(count > 0 for count in counts.values())
    suffix = f"  over {tested} of {len(counts)} classes" if tested < len(counts) else ""
    found = record.get("self_training")
    if found is not None:
        uar = "; ".join(f"of {name} {value:.3f}" for name, value in found["validation_uar"].items())
        suffix += (
            f"\n{sum(found['kept'].values())} of {sum(found['pool'].values())} clips got pseudo-labels; UAR {uar}"
        )
    return "validation " + "  ".join(f"{name} {value:.3f}" for name, value in shown.items()) + suffix


__all__ = ["finetune", "pretrain", "train_expression"]
