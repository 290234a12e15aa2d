"""Options that several commands share.

The names that an option accepts are those of the code that a command calls; `tests/cli/test_options.py` compares them,
so that `--help` need not import that code.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from ..errors import InputError
from ..utils import require_writable
from .console import split_names

if TYPE_CHECKING:
    from ..data.votes import VoteOptions
    from ..training import EmotionTrainingArguments

DATA, RUN, MODEL = "Data", "Training", "Model"

Modality = Literal["audio", "image"]
FusionModality = Literal["audio", "image", "fusion"]
ExtractModality = Literal["audio", "image", "both"]
Corpus = Literal["crema-d", "ravdess", "enterface05", "savee", "meld", "emo-db"]
Objective = Literal["complete", "hidden", "future", "mixed", "distill"]
Form = Literal["inputs", "features", "descriptors", "functionals"]
Architecture = Literal[
    "resnet",
    "mobilenet_v2",
    "densenet121",
    "densenet169",
    "efficientnet_lite0",
    "mobilenetv3_large_100",
    "mobilenetv3_small_100",
]
Balance = Literal["none", "weights", "sampling"]
Targets = Literal["distribution", "mode"]

Dataset = Annotated[str, typer.Argument(help="Folder of clips or Parquet files, a table file, or a Hub dataset.")]
Split = Annotated[str | None, typer.Option(help="Split of the dataset.", rich_help_panel=DATA)]
Streaming = Annotated[
    bool,
    typer.Option("--streaming", help="Stream the dataset instead of downloading it.", rich_help_panel=DATA),
]
Limit = Annotated[int | None, typer.Option(help="Use the first rows only.", min=1, rich_help_panel=DATA)]
VotedColumn = Annotated[
    str,
    typer.Option(
        help="Column of the label, or of those of several annotators: lists of labels, numbers of votes by name, or "
        "lists of numbers with --labels.",
        rich_help_panel=DATA,
    ),
]
VoteColumns = Annotated[
    str | None,
    typer.Option(
        help="Columns with the number of votes for each class: neutral,fear. The class has the name of its column, "
        "or another one: neutral,happy=happiness.",
        rich_help_panel=DATA,
    ),
]
AnnotatorColumns = Annotated[
    str | None,
    typer.Option(
        help="Columns with the label that each annotator gave: anna,ben,cem. An empty cell is an abstention.",
        rich_help_panel=DATA,
    ),
]
VoteTargets = Annotated[
    Targets,
    typer.Option(
        help="What is learned from votes: their distribution (soft labels), or their mode (patent), without ties.",
        rich_help_panel=DATA,
    ),
]
VoteLabels = Annotated[
    str | None,
    typer.Option(
        "--labels", help="Names of the entries of --label-column, where that has lists of votes.", rich_help_panel=DATA
    ),
]
IgnoredVotes = Annotated[
    str | None,
    typer.Option(
        help="Columns (entries of --label-column, labels) of votes for no class: unknown,NF; or for one to leave out. "
        "Where one has more votes than each class, the row is left out; else its votes are dropped.",
        rich_help_panel=DATA,
    ),
]
MinVotes = Annotated[
    int,
    typer.Option(
        help="What has fewer votes in a row has none; 2 drops single votes, as FER+ does.", min=1, rich_help_panel=DATA
    ),
]
GroupColumn = Annotated[
    str | None, typer.Option(help="Column of the group (speaker); splits are group-disjoint.", rich_help_panel=DATA)
]
ExcludeGroups = Annotated[str | None, typer.Option(help="Groups to skip altogether: 09,10", rich_help_panel=DATA)]
Fps = Annotated[float, typer.Option(help="Video frames per second.", min=0.1, rich_help_panel=DATA)]
Detector = Annotated[
    str,
    typer.Option(
        help="auto, mtcnn, blazeface, sfd, retinaface, yunet, scrfd; NAME or NAME=WEIGHTS.", rich_help_panel=DATA
    ),
]
Device = Annotated[
    str, typer.Option(help="auto (a GPU with room, else the CPU), cpu, cuda, cuda:1, mps.", rich_help_panel=RUN)
]
Person = Annotated[
    str,
    typer.Option(
        help="Who is followed if several persons are seen: largest, speaking (moves with the audio), all, or a name "
        "such as person-2; `faces` shows the names. all and names use the voice only where nobody else is seen.",
        rich_help_panel=DATA,
    ),
]
Speaker = Annotated[str | None, typer.Option(help="Old name of --person, until 0.3.", hidden=True)]
Readers = Annotated[
    int | None,
    typer.Option(help="Processes that read clips; 0 for none.", min=0, show_default="one per core"),
]
Init = Annotated[
    list[str] | None,
    typer.Option(
        help="Checkpoint to start from: a folder, a Hub name, or one of this package, such as av-emotion-voice-mit; "
        "may be repeated.",
        rich_help_panel=MODEL,
    ),
]
SpeechEncoder = Annotated[
    str | None,
    typer.Option(
        help="Speech encoder of transformers to hear with, such as openai/whisper-base (a Hub name or folder).",
        rich_help_panel=MODEL,
    ),
]
SpeechLayers = Annotated[
    int | None,
    typer.Option(help="Layers of --speech-encoder to use.", min=1, show_default="all", rich_help_panel=MODEL),
]
Config = Annotated[
    str | None,
    typer.Option(help="Configuration fields to change, as JSON or a JSON file.", rich_help_panel=MODEL),
]
PersonBaselineShare = Annotated[
    float,
    typer.Option(
        help="Fraction of the clips that are standardized by clips of the same person; needs --group-column.",
        rich_help_panel=RUN,
    ),
]
PseudoLabels = Annotated[
    list[str] | None,
    typer.Option(
        help="Unlabeled clips to learn from as well, by the labels that a first model gives them; may be repeated. "
        "Needs --group-column.",
        rich_help_panel=DATA,
    ),
]
PseudoThreshold = Annotated[
    float, typer.Option(help="Lowest calibrated confidence of a clip of --pseudo-labels.", rich_help_panel=RUN)
]
PseudoFraction = Annotated[
    float, typer.Option(help="Fraction of the clips of --pseudo-labels that is kept at most.", rich_help_panel=RUN)
]
LabelSmoothing = Annotated[
    float, typer.Option(help="Fraction of the target spread over all classes.", rich_help_panel=RUN)
]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="Scale the scores so that on the validation groups they are as high as they are often right.",
        rich_help_panel=RUN,
    ),
]
HeadFirst = Annotated[
    bool,
    typer.Option(
        "--head-first",
        help="Begin with a linear head on the model as it is, and keep that where training does not beat it; for few "
        "labels.",
        rich_help_panel=RUN,
    ),
]
Augment = Annotated[
    str | None,
    typer.Option(
        help='Augmentations of voices with the probability of each, as JSON or a JSON file: {"speed": 0.5, "noise": '
        "0.3}. Of waveforms: speed, pitch, reverb, noise, babble, gain, telephone, opus; while training also "
        "copy_paste, mixup, and for features time_mask, frequency_mask.",
        rich_help_panel=DATA,
    ),
]
PictureAugment = Annotated[
    str | None,
    typer.Option(
        help='Augmentations with the probability of each, as JSON or a JSON file: {"blur": 0.3, "hide": 0}. mirror '
        "(0.5), shift, scale, rotate (1) and hide (0.5, a patch) are on by default; others are box (misplaced), "
        "occlusion, color, blur, resolution (small faces), low_light, compression.",
        rich_help_panel=DATA,
    ),
]
Seed = Annotated[
    int, typer.Option(help="Random seed (weights, data order, masks, validation split).", rich_help_panel=RUN)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def chosen_person(person: str, speaker: str | None) -> str:
    """The choice of a person; of `--speaker`, which is its old name, with a line on standard error."""
    if speaker is None:
        return person
    from ..errors import InputError
    from ..models.persons_av_emotion import SPEAKERS

    if speaker not in SPEAKERS:
        raise InputError(f"--speaker {speaker}: there is no such choice; use --person largest or --person speaking")
    person = SPEAKERS[speaker]
    typer.echo(f"--speaker {speaker} is now --person {person}; the old option works until 0.3", err=True)
    return person


@dataclass
class TrainingOptions:
    """The options of every training command."""

    out: Annotated[str, typer.Option(help="Folder to write; must not exist or be empty.")]
    workers: Annotated[int, typer.Option(help="Processes that read data.", min=0, rich_help_panel=DATA)] = 0
    epochs: Annotated[float, typer.Option(help="Passes over the data.", rich_help_panel=RUN)] = 10
    max_steps: Annotated[int, typer.Option(help="Optimizer steps; overrides --epochs.", rich_help_panel=RUN)] = -1
    batch_size: Annotated[
        int, typer.Option(help="Clips (images) per step and device.", min=1, rich_help_panel=RUN)
    ] = 32
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.", rich_help_panel=RUN)] = 1e-3
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW.", rich_help_panel=RUN)] = 0.01
    device: Device = "auto"
    seed: Seed = 0
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.", rich_help_panel=RUN)] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint in --out.", rich_help_panel=RUN)
    ] = False
    report_to: Annotated[str, typer.Option(help="Tracker, such as tensorboard.", rich_help_panel=RUN)] = "none"
    save_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps between checkpoints (and validations); by default an epoch, or a tenth of --max-steps.",
            min=1,
            rich_help_panel=RUN,
        ),
    ] = None

    def arguments(self, **more: Any) -> "EmotionTrainingArguments":
        """The training arguments, with `more` of their fields."""
        from ..training import EmotionTrainingArguments

        return EmotionTrainingArguments(
            output_dir=self.out,
            num_train_epochs=self.epochs,
            max_steps=self.max_steps,
            per_device_train_batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=self.seed,
            bf16=self.bf16,
            dataloader_num_workers=self.workers,
            resume=self.resume,
            report_to=self.report_to,
            compute_on=self.device,
            save_steps=self.save_steps or 0,
            **more,
        )


def training_options(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a command with a parameter `run: TrainingOptions`: it becomes the options themselves.

    Args:
        **defaults: of options, where the command has others.
    """
    hints = get_type_hints(TrainingOptions, include_extras=True)
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=inspect.Parameter.empty if field.default is MISSING else defaults.get(field.name, field.default),
        )
        for field in fields(TrainingOptions)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run_command(**given: Any) -> None:
            run = TrainingOptions(**{option.name: given.pop(option.name) for option in options})
            require_writable(run.out, is_folder=True)  # before a dataset is downloaded
            command(run=run, **given)

        parameters = []
        for parameter in inspect.signature(command).parameters.values():
            own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
            parameters += options if parameter.name == "run" else own
        signature = inspect.Signature(parameters)
        run_command.__signature__ = signature  # type: ignore[attr-defined]  # read by typer
        run_command.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
        return run_command

    return decorate


def vote_options(
    vote_columns: str | None,
    vote_labels: str | None,
    ignored_votes: str | None,
    min_votes: int,
    annotator_columns: str | None = None,
) -> "VoteOptions":
    """How votes are read, from the options of a command."""
    from ..data.votes import VoteOptions

    pairs = [name.partition("=") for name in split_names(vote_columns)]
    columns = {label.strip(): (column or label).strip() for label, _, column in pairs}
    if len(columns) < len(pairs):
        raise InputError(f"--vote-columns {vote_columns}: names a class twice; give each class one column")
    annotators = split_names(annotator_columns)
    return VoteOptions(columns, split_names(vote_labels), split_names(ignored_votes), min_votes, annotators)
