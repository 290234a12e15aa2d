"""The command that scores a corpus with published folds: benchmark."""

from typing import Annotated, Any

import typer

from ..errors import InputError
from ..utils import require_writable
from .console import say, show_outcome
from .options import (
    DATA,
    MODEL,
    RUN,
    Config,
    Corpus,
    Detector,
    Device,
    Fps,
    FusionModality,
    HeadFirst,
    Init,
    Seed,
    SpeechEncoder,
    SpeechLayers,
    TrainingOptions,
)


def benchmark(
    name: Annotated[Corpus, typer.Argument(help="Which corpus.")],
    root: Annotated[str, typer.Option(help="Folder of the corpus, as it was published.")],
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Classifier to score on the test part of each fold; one in the package by default.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    modality: Annotated[
        FusionModality | None,
        typer.Option(help="Voice, face or both; by default what the checkpoint uses.", rich_help_panel=MODEL),
    ] = None,
    finetune: Annotated[
        bool,
        typer.Option("--finetune", help="Train a model in each fold, and score that.", rich_help_panel=RUN),
    ] = False,
    init: Init = None,
    speech_encoder: SpeechEncoder = None,
    speech_layers: SpeechLayers = None,
    config: Config = None,
    work: Annotated[
        str | None,
        typer.Option(
            help="Folder of the models of --finetune; finished folds in it are kept, an interrupted one resumes.",
            rich_help_panel=RUN,
        ),
    ] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the data of a fold.", rich_help_panel=RUN)] = 30,
    batch_size: Annotated[int, typer.Option(help="Clips per step.", min=1, rich_help_panel=RUN)] = 16,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.", rich_help_panel=RUN)] = 1e-3,
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction of the training speakers that is drawn.", rich_help_panel=DATA)
    ] = 0.2,
    head_first: HeadFirst = False,
    workers: Annotated[int, typer.Option(help="Processes that read clips.", min=0, rich_help_panel=DATA)] = 0,
    fps: Fps = 10.0,
    detector: Detector = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    json: Annotated[str | None, typer.Option(help="JSON file to write.")] = None,
) -> None:
    """Score a corpus by its published protocol: UAR, WAR and macro-F1, mean and deviation over the folds."""
    training = {"--init": init, "--speech-encoder": speech_encoder, "--config": config, "--work": work}
    if finetune and (checkpoint is not None or work is None or modality is None):
        wrong = (
            "starts from --init, not from --checkpoint" if checkpoint is not None else "needs --work and --modality"
        )
        raise InputError(f"--finetune {wrong}; add --work DIR --modality audio --init CHECKPOINT, for instance")
    for option, value in training.items():
        if value is not None and not finetune:
            raise InputError(f"{option} is for training: add --finetune, or leave it out")
    for path, is_folder in ((json, False), (work, True)):
        if path is not None:
            require_writable(path, is_folder)  # before clips are read
    from ..benchmarks import finetune_benchmark, open_benchmark, score_benchmark
    from ..checkpoints import DEFAULT_CHECKPOINT
    from ..data.reader import ReaderOptions
    from ..training import read_config_overrides

    options = ReaderOptions(fps=fps, detector=detector)

    def show(record: dict[str, Any]) -> None:
        say(_table(record))

    if finetune:
        run = TrainingOptions(
            str(work), workers, epochs, batch_size=batch_size, learning_rate=learning_rate, device=device, seed=seed
        )
        show_outcome(
            show,
            finetune_benchmark,
            open_benchmark(name, root, modality),
            args=run.arguments(label_smoothing_factor=0.1),
            modality=str(modality),
            validation_fraction=validation_fraction,
            reader_options=options,
            out=json,
            init=init,
            speech_encoder=speech_encoder,
            speech_layers=speech_layers,
            config_overrides=read_config_overrides(config),
            head_first=head_first,
        )
        return
    show_outcome(
        show,
        score_benchmark,
        checkpoint or DEFAULT_CHECKPOINT,
        open_benchmark(name, root, modality),
        modality=modality,
        out=json,
        batch_size=batch_size,
        reader_options=options,
        num_proc=workers or None,
        device=device,
    )


def _table(record: dict[str, Any]) -> str:
    """The scores of each fold and over the folds, in percent."""
    rows = [("fold", "clips", "UAR %", "WAR %", "macro-F1 %")]
    rows += [(fold, str(each["clips"]), *_percent(each)) for fold, each in record["folds"].items()]
    if record["deviation"] is not None:
        rows += [("mean", str(record["clips"]), *_percent(record["mean"]))]
        rows += [("deviation", "", *_percent(record["deviation"]))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{record['benchmark']}: {record['protocol']}; {'+'.join(record['modalities'])}"]
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    if not record["is_speaker_disjoint"]:
        lines.append("speakers of the test are trained on as well, by its protocol")
    return "\n".join(lines)


def _percent(scores: dict[str, float]) -> tuple[str, str, str]:
    uar, war, macro_f1 = (f"{100 * scores[name]:.1f}" for name in ("uar", "war", "macro_f1"))
    return uar, war, macro_f1


__all__ = ["benchmark"]
