import json
import warnings
from pathlib import Path

import pytest
from transformers import HfArgumentParser, TrainingArguments

from av_emotion_hf import EmotionTrainingArguments
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import arguments
from av_emotion_hf.training.record import recorded_options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("epoch", "epoch", 500, 500)),
        ({"save_steps": 7}, ("epoch", "steps", 500, 7)),
        ({"max_steps": 200}, ("steps", "steps", 20, 20)),
        ({"max_steps": 4}, ("steps", "steps", 1, 1)),
        ({"max_steps": 200, "save_steps": 7}, ("steps", "steps", 20, 7)),
        ({"max_steps": 200, "logging_strategy": "no", "save_strategy": "epoch"}, ("no", "epoch", 20, 20)),
    ],
)
def test_logs_and_checkpoints_follow_from_the_length(tmp_path, given, expected):
    args = EmotionTrainingArguments(str(tmp_path / "out"), **given)
    for each in (args, args.for_recipe(has_evaluation=True, best_metric="uar")):
        found = (each.logging_strategy, each.save_strategy, each.logging_steps, each.save_steps)
        assert tuple(getattr(value, "value", value) for value in found) == expected


def test_what_a_recipe_derives(tmp_path):
    args = EmotionTrainingArguments(str(tmp_path / "out"), max_steps=50, per_device_train_batch_size=3)
    assert args.per_device_eval_batch_size == 3 and args.eval_strategy == "no"
    assert not args.remove_unused_columns and args.accelerator_config.dispatch_batches is False
    recipe = args.for_recipe(has_evaluation=True, best_metric="loss", prediction_loss_only=True)
    assert recipe.output_dir == str(tmp_path / "out" / "checkpoints") and args.output_dir == str(tmp_path / "out")
    assert (recipe.eval_strategy, recipe.eval_steps, recipe.save_total_limit) == ("steps", 5, 1)
    assert recipe.load_best_model_at_end and recipe.metric_for_best_model == "loss" and not recipe.greater_is_better
    assert recipe.prediction_loss_only and not args.prediction_loss_only
    assert args.for_recipe(has_evaluation=True, best_metric="uar").greater_is_better
    recipe = args.for_recipe(has_evaluation=False, best_metric="uar")
    assert (recipe.eval_strategy, recipe.load_best_model_at_end, recipe.metric_for_best_model) == ("no", False, None)


def test_they_are_what_training_arguments_of_the_same_values_are(tmp_path):
    """What a recipe derives is what transformers derives when it is given as much from the start."""
    recipe = EmotionTrainingArguments(str(tmp_path), save_steps=3, bf16=True).for_recipe(
        has_evaluation=True, best_metric="uar"
    )
    known = {name: value for name, value in vars(recipe).items() if name in TrainingArguments.__dataclass_fields__}
    again = TrainingArguments(**known | {"accelerator_config": {"dispatch_batches": False}})
    ours, theirs = recipe.to_dict(), again.to_dict()
    assert {name: ours[name] for name in theirs} == theirs


def test_a_parser_reads_them(tmp_path):
    (args,) = HfArgumentParser(EmotionTrainingArguments).parse_args_into_dataclasses(
        ["--output_dir", "out", "--max_steps", "30", "--slow_parts", "frontend.", "rnn.", "--save_strategy", "no"]
    )
    assert args.slow_parts == ["frontend.", "rnn."] and (args.save_strategy, args.logging_steps) == ("no", 3)
    (tmp_path / "run.json").write_text(json.dumps({"output_dir": "out", "num_train_epochs": 2, "resume": True}))
    (args,) = HfArgumentParser(EmotionTrainingArguments).parse_json_file(str(tmp_path / "run.json"))
    assert args.resume and args.num_train_epochs == 2 and args.lr_scheduler_type == "cosine" and args.seed == 0


def test_what_a_recipe_resumes_from(tmp_path):
    out = tmp_path / "out"

    def args(**changes):
        return EmotionTrainingArguments(str(out), **changes)

    assert args().last_checkpoint() is None
    with pytest.raises(InputError, match=r"out: holds no checkpoint to resume from; start without --resume"):
        args(resume=True).last_checkpoint()
    (out / "checkpoints").mkdir(parents=True)
    assert args(resume=True).last_checkpoint() is None  # interrupted before the first one
    for step in (9, 10):
        (out / "checkpoints" / f"checkpoint-{step}").mkdir()
    assert args(resume=True).last_checkpoint() == str(out / "checkpoints" / "checkpoint-10")
    chosen = str(out / "checkpoints" / "checkpoint-9")
    assert args(resume_from_checkpoint=chosen).last_checkpoint() == chosen
    with pytest.raises(InputError, match=r"out: is not empty; choose another --out, or continue with --resume"):
        args().last_checkpoint()


OPTIONS = {
    "out": "voice", "epochs": 3, "max_steps": -1, "batch_size": 6, "learning_rate": 0.01, "weight_decay": 0.02,
    "warmup": 0.3, "label_smoothing": 0.1, "seed": 4, "bf16": True, "workers": 2, "resume": True,
    "report_to": "tensorboard", "save_steps": 8, "schedule": "linear",
}  # fmt: skip


def test_the_record_has_the_names_that_cards_and_results_read(tmp_path):
    args = EmotionTrainingArguments(
        str(tmp_path / "voice"), num_train_epochs=3, per_device_train_batch_size=3, gradient_accumulation_steps=2,
        learning_rate=0.01, weight_decay=0.02, warmup_steps=0.3, label_smoothing_factor=0.1, seed=4, bf16=True,
        dataloader_num_workers=2, resume=True, report_to="tensorboard", save_steps=8, lr_scheduler_type="linear",
    )  # fmt: skip
    assert recorded_options(args) == OPTIONS
    plain = recorded_options(TrainingArguments(str(tmp_path / "voice"), use_cpu=True, save_strategy="epoch"))
    assert plain.keys() == OPTIONS.keys()
    assert (plain["out"], plain["resume"], plain["report_to"], plain["save_steps"]) == ("voice", False, "none", None)


def test_the_old_name_makes_the_new_arguments(tmp_path):
    with pytest.warns(DeprecationWarning, match="RunOptions is now EmotionTrainingArguments"):
        RunOptions = arguments.RunOptions
    args = RunOptions(**OPTIONS | {"out": str(tmp_path / "voice")})
    assert isinstance(args, EmotionTrainingArguments) and recorded_options(args) == OPTIONS
    assert RunOptions(str(tmp_path / "voice"), 3, -1, 6).per_device_train_batch_size == 6
    assert RunOptions.of(args) is args
    with warnings.catch_warnings(), pytest.raises(AttributeError, match="has no attribute 'Options'"):
        warnings.simplefilter("error")
        _ = arguments.Options


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[1]", "no such file"), ("FILE", "must be a JSON object")],
)
def test_config_overrides_that_are_none(tmp_path, text, message):
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match=message):
        arguments.read_config_overrides(text.replace("FILE", str(tmp_path / "list.json")))


def test_config_overrides_from_text_and_file(tmp_path):
    path = Path(tmp_path / "fields.json")
    path.write_text('{"hidden_size": 8}')
    assert arguments.read_config_overrides(str(path)) == arguments.read_config_overrides(' {"hidden_size": 8}')
    assert arguments.read_config_overrides(None) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": float("nan")}, "learning_rate=nan: has to be above 0; use 1e-3"),
        ({"learning_rate": 0.0}, "learning_rate=0: has to be above 0"),
        ({"weight_decay": -1.0}, "weight_decay=-1: has to be 0 or more"),
        ({"slow_rate": float("nan")}, "slow_rate=nan: has to be 0 or more"),
        ({"layer_decay": 0.0}, "layer_decay=0: has to be above 0 and at most 1; use 0.9, for instance"),
        ({"layer_decay": 1.5}, "layer_decay=1.5: has to be above 0 and at most 1"),
        ({"layer_decay": float("nan")}, "layer_decay=nan: has to be above 0 and at most 1"),
        ({"label_smoothing_factor": 1.0}, "label_smoothing=1: has to be a fraction from 0 to below 1"),
        ({"per_device_train_batch_size": 0}, "batch_size=0: has to be 1 or more"),
        ({"num_train_epochs": 0}, "epochs=0: has to be above 0"),
        ({"num_train_epochs": float("nan")}, "epochs=nan: has to be above 0"),
        ({"dataloader_num_workers": -1}, "workers=-1: has to be 0 or more"),
    ],
)
def test_a_value_with_which_nothing_is_trained_is_refused(tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        EmotionTrainingArguments(str(tmp_path), **given)
