import inspect
from typing import Annotated, Literal, get_args

import pytest
import typer
from typer.testing import CliRunner

from av_emotion_hf.acoustics import tables
from av_emotion_hf.cli import options, training
from av_emotion_hf.data import picture_augmentation, reader, votes
from av_emotion_hf.errors import InputError
from av_emotion_hf.models import configuration_av_emotion
from av_emotion_hf.training import PRESETS, EmotionTrainingArguments, expression


@pytest.mark.parametrize(
    ("literal", "known"),
    [
        (options.Objective, PRESETS),
        (options.Objective, configuration_av_emotion.OBJECTIVES),
        (options.Architecture, expression.ARCHITECTURES),
        (options.Balance, expression.BALANCES),
        (options.Targets, votes.TARGETS),
        (options.ExtractModality, reader.MODALITIES),
        (options.Form, ("inputs", "features", *tables.FORMS)),
    ],
)
def test_the_choices_are_those_of_the_code(literal, known):
    assert sorted(get_args(literal)) == sorted(known)


def test_training_options_become_options_of_the_command():
    found = {}

    @options.training_options(epochs=3)
    def train(
        dataset: str,
        run: options.TrainingOptions,
        kind: Annotated[Literal["a", "b"], typer.Option(help="Which.")] = "a",
    ) -> None:
        """Train."""
        found.update(dataset=dataset, run=run, kind=kind)

    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, ["clips", "--out", "voice", "--bf16", "--kind", "b", "--save-steps", "5"])
    assert result.exit_code == 0, result.output
    expected = options.TrainingOptions("voice", epochs=3, bf16=True, save_steps=5)
    assert found == {"dataset": "clips", "run": expected, "kind": "b"}
    assert CliRunner().invoke(app, ["clips"]).exit_code == 2  # --out is needed
    assert CliRunner().invoke(app, ["clips", "--out", "x", "--kind", "c"]).exit_code == 2


def test_training_options_reach_the_arguments(tmp_path):
    run = options.TrainingOptions(
        str(tmp_path), workers=2, epochs=3, max_steps=40, batch_size=5, learning_rate=0.5, weight_decay=0.25, seed=6,
        bf16=True, resume=True, report_to="tensorboard", save_steps=7,
    )  # fmt: skip
    args = run.arguments(label_smoothing_factor=0.125)
    assert args == EmotionTrainingArguments(
        str(tmp_path), dataloader_num_workers=2, num_train_epochs=3, max_steps=40, per_device_train_batch_size=5,
        learning_rate=0.5, weight_decay=0.25, seed=6, bf16=True, resume=True, report_to="tensorboard", save_steps=7,
        label_smoothing_factor=0.125,
    )  # fmt: skip


def test_defaults_of_the_training_commands():
    found = {
        command.__name__: {
            name: inspect.signature(command).parameters[name].default
            for name in ("epochs", "batch_size", "learning_rate", "weight_decay")
        }
        for command in (training.train_expression, training.pretrain, training.finetune)
    }
    assert found == {
        "train_expression": {"epochs": 30, "batch_size": 64, "learning_rate": 2e-3, "weight_decay": 0.05},
        "pretrain": {"epochs": 20, "batch_size": 32, "learning_rate": 1e-3, "weight_decay": 0.01},
        "finetune": {"epochs": 30, "batch_size": 16, "learning_rate": 1e-3, "weight_decay": 0.01},
    }


def test_votes_are_read_from_the_words_of_the_command():
    given = options.vote_options("neutral, happy = happiness", None, "unknown,NF", 2)
    assert given == votes.VoteOptions({"neutral": "neutral", "happy": "happiness"}, [], ["unknown", "NF"], 2, [])
    given = options.vote_options(None, "a,b", None, 1)
    assert given == votes.VoteOptions(labels=["a", "b"], ignored=[], annotators=[])
    given = options.vote_options(None, None, "unsure", 1, "anna, ben")
    assert given == votes.VoteOptions(labels=[], ignored=["unsure"], annotators=["anna", "ben"])
    with pytest.raises(InputError, match="--vote-columns a=b,a=c: names a class twice"):
        options.vote_options("a=b,a=c", None, None, 1)


def test_the_help_names_every_augmentation_of_pictures():
    (option,) = (each for each in get_args(options.PictureAugment) if isinstance(each, typer.models.OptionInfo))
    defaults, others = option.help.split("}.")[1].split("on by default")
    for name in picture_augmentation.PICTURE_AUGMENTATIONS:
        part = defaults if name in picture_augmentation.DEFAULT_PROBABILITIES else others
        assert name in part, name
