"""Options that several verbs of the command line share."""

from enum import StrEnum
from typing import Annotated

import typer


class Modality(StrEnum):
    """What a model of one modality reads."""

    audio = "audio"
    image = "image"


class FusionModality(StrEnum):
    """What a classifier reads."""

    audio = "audio"
    image = "image"
    fusion = "fusion"


class Objective(StrEnum):
    """What pre-training minimises."""

    complete = "complete"
    hidden = "hidden"
    future = "future"
    mixed = "mixed"


class ExtractModality(StrEnum):
    """What is taken out of a clip."""

    audio = "audio"
    image = "image"
    both = "both"


class Form(StrEnum):
    """What `extract` writes."""

    inputs = "inputs"
    features = "features"
    descriptors = "descriptors"
    functionals = "functionals"


class Architecture(StrEnum):
    """Networks of the expression recogniser."""

    resnet = "resnet"
    densenet121 = "densenet121"
    densenet169 = "densenet169"


class Balance(StrEnum):
    """What makes rare classes count as much as others."""

    none = "none"
    weights = "weights"
    sampling = "sampling"


DATA, RUN, MODEL = "Data", "Training", "Model"
Dataset = Annotated[str, typer.Argument(help="Folder of clips or Parquet files, a table file, or a Hub dataset.")]
Out = Annotated[str, typer.Option(help="Folder to write; must not exist or be empty.")]
Split = Annotated[str | None, typer.Option(help="Split of the dataset.", rich_help_panel=DATA)]
Streaming = Annotated[bool, typer.Option("--streaming", help="Read rows as they come, no copy.", rich_help_panel=DATA)]
Limit = Annotated[int | None, typer.Option(help="Take the first rows only.", min=1, rich_help_panel=DATA)]
LabelColumn = Annotated[str, typer.Option(help="Column of the label.", rich_help_panel=DATA)]
GroupColumn = Annotated[
    str | None, typer.Option(help="Column of the group (speaker) that must not be in two parts.", rich_help_panel=DATA)
]
ExcludeGroups = Annotated[str | None, typer.Option(help="Groups to leave out altogether: 09,10", rich_help_panel=DATA)]
Fps = Annotated[float, typer.Option(help="Frames per second.", min=0.1, rich_help_panel=DATA)]
Detector = Annotated[
    str,
    typer.Option(
        help="auto, blazeface, sfd, retinaface, yunet, scrfd (NAME or NAME=WEIGHTS), or cascade.", rich_help_panel=DATA
    ),
]
Device = Annotated[
    str, typer.Option(help="auto (a GPU with room, else the CPU), cpu, cuda, cuda:1, mps.", rich_help_panel=RUN)
]
Speaker = Annotated[
    str,
    typer.Option(help="Which of several faces: size (largest), speech (mouth and sound).", rich_help_panel=DATA),
]
Workers = Annotated[int, typer.Option(help="Processes that read data.", min=0, rich_help_panel=DATA)]
Init = Annotated[
    list[str] | None, typer.Option(help="Checkpoint to start from; may be given again.", rich_help_panel=MODEL)
]
Config = Annotated[
    str | None,
    typer.Option(help="Configuration fields to change, as JSON or a JSON file.", rich_help_panel=MODEL),
]
Epochs = Annotated[float, typer.Option(help="Passes over the data.", rich_help_panel=RUN)]
MaxSteps = Annotated[int, typer.Option(help="Optimiser steps; wins over --epochs.", rich_help_panel=RUN)]
BatchSize = Annotated[int, typer.Option(help="Clips (pictures) per step and device.", min=1, rich_help_panel=RUN)]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate.", rich_help_panel=RUN)]
WeightDecay = Annotated[float, typer.Option(help="Weight decay of AdamW.", rich_help_panel=RUN)]
LabelSmoothing = Annotated[
    float, typer.Option(help="Share of the target spread over all classes.", rich_help_panel=RUN)
]
Seed = Annotated[int, typer.Option(help="Of weights, order, masks and drawn groups.", rich_help_panel=RUN)]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.", rich_help_panel=RUN)]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.", rich_help_panel=RUN)
]
ReportTo = Annotated[str, typer.Option(help="Tracker, such as tensorboard.", rich_help_panel=RUN)]
SaveSteps = Annotated[
    int | None,
    typer.Option(
        help="Steps from one checkpoint (and validation) to the next; by default an epoch, or a tenth of --max-steps.",
        min=1,
        rich_help_panel=RUN,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
