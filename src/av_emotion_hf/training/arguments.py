"""Training arguments with the defaults of this package's recipes."""

import copy
import json
import logging
import os
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, IterableDataset
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy, SchedulerType, get_last_checkpoint

from ..devices import choose_device, cpu_threads
from ..errors import InputError, require_fraction
from ..utils import is_leftover, require_writable

logger = logging.getLogger(__name__)

AUTO = "auto"
CHECKPOINTS = "checkpoints"  # folder in `output_dir` from which a recipe resumes


@dataclass(repr=False)
class EmotionTrainingArguments(TrainingArguments):
    """[`TrainingArguments`] with the defaults of this package's recipes, and some fields of their own.

    [`train_expression`], [`pretrain`] and [`finetune`] write the trained model to `output_dir`, and below its
    `checkpoints` what an interrupted run resumes from. They evaluate whenever they save, where there is validation
    data, and keep the best weights. With a trainer of your own, `output_dir` and evaluation are as in [`Trainer`].

    Args:
        logging_strategy: `auto` logs every epoch, or every `logging_steps` when `max_steps` is given.
        logging_steps: optimizer steps; a tenth of `max_steps` when 0.
        save_strategy: `auto` saves every epoch, or every `save_steps` when these or `max_steps` are given.
        save_steps: optimizer steps from one checkpoint to the next; a tenth of `max_steps` when 0.
        per_device_eval_batch_size: as for training when 0.
        warmup_steps: fraction of the steps over which the learning rate rises, or their number, from 1 on.
        resume: continue from the last checkpoint of an interrupted recipe below `output_dir`.
        compute_on: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`, see [`choose_device`]. One process trains on one GPU;
            start several with `torchrun` or `accelerate launch` to train on several.
        cpu_threads: threads of this process on the CPU; chosen by what is computed when 0, see [`cpu_threads`].
            Another number rounds differently: an expression recognizer resumes to the same bits with a fixed one.
        slow_parts: substrings of the names of parameters that are trained already, such as `backbone.`.
        slow_rate: factor on the learning rate of the slow parts.
        layer_decay: factor on the learning rate from each layer of a speech backbone to the one below it, down to its
            convolutions, where it is trained at all (`freeze_backbone=False`); 1 for the same rate in all of them.

    Example:
    ```python
    >>> from av_emotion_hf import EmotionTrainingArguments

    >>> args = EmotionTrainingArguments("runs/voice", max_steps=1000)
    >>> args.save_steps, args.lr_scheduler_type.value
    (100, 'cosine')
    ```
    """

    num_train_epochs: float = field(default=10.0, metadata={"help": "Passes over the data; not for streams."})
    per_device_train_batch_size: int = field(default=32, metadata={"help": "Clips (or images) per step and device."})
    per_device_eval_batch_size: int = field(default=0, metadata={"help": "As for training when 0."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak learning rate of AdamW."})
    weight_decay: float = field(default=1e-2, metadata={"help": "Weight decay of AdamW."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Fraction of the steps, or their number from 1 on."})
    lr_scheduler_type: SchedulerType | str = field(default="cosine", metadata={"help": "Course of the learning rate."})
    seed: int = field(default=0, metadata={"help": "Random seed (weights, data order, masks, dropout)."})
    logging_strategy: IntervalStrategy | str = field(default=AUTO, metadata={"help": "By epoch, or with max_steps."})
    logging_steps: float = field(default=0, metadata={"help": "A tenth of max_steps when 0."})
    logging_nan_inf_filter: bool = field(
        default=False,  # it would wait for the device at every step, and hide what went wrong
        metadata={"help": "Leave losses that are not finite out of the log."},
    )
    save_strategy: SaveStrategy | str = field(default=AUTO, metadata={"help": "By epoch, or with max_steps."})
    save_steps: float = field(default=0, metadata={"help": "A tenth of max_steps when 0."})
    remove_unused_columns: bool = field(
        default=False,  # the collators read columns that the models do not know
        metadata={"help": "Remove the columns that the model does not know."},
    )
    accelerator_config: dict | str | None = field(
        default_factory=lambda: {"dispatch_batches": False},  # else rank 0 would read the clips of all
        metadata={"help": "Configuration of Accelerate, as JSON or a JSON file."},
    )
    compute_on: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1 or mps."})
    cpu_threads: int = field(default=0, metadata={"help": "CPU threads; chosen when 0."})
    resume: bool = field(default=False, metadata={"help": "Resume an interrupted recipe in output_dir."})
    slow_parts: list[str] = field(
        default_factory=list, metadata={"help": "Parts of the names of parameters with a learning rate of their own."}
    )
    slow_rate: float = field(default=0.1, metadata={"help": "Factor on the learning rate of the slow parts."})
    layer_decay: float = field(
        default=0.9,
        metadata={"help": "Factor on the learning rate from a layer of a speech backbone to the next below."},
    )

    def __post_init__(self):
        self._require_possible_values()
        by_steps = self.max_steps > 0
        if self.logging_strategy == AUTO:
            self.logging_strategy = "steps" if by_steps else "epoch"
        if self.save_strategy == AUTO:
            self.save_strategy = "steps" if by_steps or self.save_steps else "epoch"
        for name in ("logging_steps", "save_steps"):
            if not getattr(self, name):
                setattr(self, name, max(1, self.max_steps // 10) if by_steps else 500)
        self.per_device_eval_batch_size = self.per_device_eval_batch_size or self.per_device_train_batch_size
        choice = choose_device("cpu" if self.use_cpu else self.compute_on)
        self.use_cpu = choice.device.type == "cpu"  # else bf16 is refused on a CPU
        self._choice = choice
        self.dataloader_pin_memory = self.dataloader_pin_memory and torch.cuda.is_available()
        super().__post_init__()

    def _require_possible_values(self) -> None:
        """Raise [`InputError`] for a value with which nothing could be trained; NaN is one."""
        require_fraction("label_smoothing", self.label_smoothing_factor)
        for name, shown, least, is_strict, example in (
            ("learning_rate", "learning_rate", 0, True, "1e-3"),
            ("weight_decay", "weight_decay", 0, False, "0.01"),
            ("slow_rate", "slow_rate", 0, False, "0.1"),
            ("per_device_train_batch_size", "batch_size", 1, False, "32"),
            ("dataloader_num_workers", "workers", 0, False, "0"),
        ):
            value = getattr(self, name)
            if not (value > least if is_strict else value >= least) or value == float("inf"):
                rule = f"above {least}" if is_strict else f"{least} or more"
                raise InputError(f"{shown}={value:g}: has to be {rule}; use {example}, for instance")
        if not 0 < self.layer_decay <= 1:
            raise InputError(
                f"layer_decay={self.layer_decay:g}: has to be above 0 and at most 1; use 0.9, for instance"
            )
        if not (self.max_steps > 0 or 0 < self.num_train_epochs < float("inf")):
            raise InputError(f"epochs={self.num_train_epochs:g}: has to be above 0; use 10, for instance")

    @cached_property
    def _setup_devices(self) -> torch.device:
        """As in transformers; one process computes on the device that was chosen, not on all GPUs by turns."""
        device = super()._setup_devices
        self.use_threads()
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            logger.info("%s", self._choice)
            if self._choice.device.type == "cuda":
                device = self._choice.device
                torch.cuda.set_device(device)
                self._n_gpu, self.distributed_state.device = 1, device
        return device

    def use_threads(self, parallel: bool = False) -> None:
        """Compute with the right number of CPU threads from now on.

        Args:
            parallel: whether the work gains from several: convolutions over batches of images do, RNNs do not.
        """
        torch.set_num_threads(self.cpu_threads or cpu_threads(parallel)[0])

    @property
    def result_dir(self) -> Path:
        """Folder of the trained model."""
        return Path(self.output_dir or ".")

    def for_recipe(
        self, *, has_evaluation: bool, best_metric: str | None = None, **changes: Any
    ) -> "EmotionTrainingArguments":
        """The arguments of the trainer of a recipe: checkpoints below `output_dir`, evaluation with each of them.

        Args:
            has_evaluation: whether there is validation data.
            best_metric: in which metric the kept checkpoint is best; the last one is kept when `None`.
            **changes: further fields to set.
        """
        args = copy.copy(self)
        args.output_dir = str(self.result_dir / CHECKPOINTS)
        args.save_total_limit = self.save_total_limit or 1
        args.eval_strategy = IntervalStrategy(args.save_strategy if has_evaluation else "no")
        args.do_eval = has_evaluation
        args.eval_steps = args.save_steps  # the best checkpoint is looked for where there is one
        args.load_best_model_at_end = has_evaluation and best_metric is not None
        args.metric_for_best_model = best_metric if has_evaluation else None
        args.greater_is_better = best_metric != "loss" if has_evaluation and best_metric else None
        for name, value in changes.items():
            setattr(args, name, value)
        return args

    def require_length(self, dataset: Dataset | IterableDataset) -> None:
        """Raise [`InputError`] for a stream, whose length is unknown, unless `max_steps` says how long to train."""
        if isinstance(dataset, IterableDataset) and self.max_steps <= 0:
            raise InputError("a stream has no known length: say how long to train with --max-steps")

    def last_checkpoint(self) -> str | None:
        """The checkpoint that a recipe resumes from, or `None` when it starts from scratch.

        Raises:
            InputError: `resume` is set and there is nothing to resume, or the folder is in use or cannot be written.
        """
        folder, found = self.result_dir, self.resume_from_checkpoint
        require_writable(folder, is_folder=True)
        # another process may be checking the folder just now
        names = {path.name for path in folder.iterdir() if not is_leftover(path)} if folder.is_dir() else set()
        if found is None and (folder / CHECKPOINTS).is_dir():
            found = get_last_checkpoint(str(folder / CHECKPOINTS))
        resumes = self.resume or self.resume_from_checkpoint is not None
        # a run that was interrupted before its first checkpoint starts over
        if resumes and found is None and names != {CHECKPOINTS}:
            raise InputError(f"{folder}: holds no checkpoint to resume from; start without --resume")
        if not resumes and names:
            raise InputError(f"{folder}: is not empty; choose another --out, or continue with --resume")
        return found if resumes else None


def read_config_overrides(text: str | None, option: str = "--config") -> dict[str, Any]:
    """Configuration fields from JSON text or a JSON file.

    Args:
        text: what was given; nothing is an empty object.
        option: the option, for errors.

    Raises:
        InputError: there is no such file, or it is not a JSON object.
    """
    if text is None:
        return {}
    is_json = text.lstrip().startswith("{")
    if not is_json and not Path(text).is_file():
        raise InputError(f"{option} {text}: no such file; give a JSON file or JSON text in braces")
    try:
        fields = json.loads(text if is_json else Path(text).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{option} {text}: is not JSON ({error}); check its quotes and commas") from error
    if not isinstance(fields, dict):
        raise InputError(f"{option} {text}: must be a JSON object")
    return fields


class _RunOptions:
    """What `RunOptions` was: makes [`EmotionTrainingArguments`] of its field names."""

    def __call__(
        self,
        out: str,
        epochs: float = 10,
        max_steps: int = -1,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        warmup: float = 0.1,
        label_smoothing: float = 0.0,
        seed: int = 0,
        bf16: bool = False,
        workers: int = 0,
        resume: bool = False,
        report_to: str = "none",
        save_steps: int | None = None,
        schedule: str = "cosine",
    ) -> EmotionTrainingArguments:
        return EmotionTrainingArguments(
            output_dir=out,
            num_train_epochs=epochs,
            max_steps=max_steps,
            per_device_train_batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup,
            label_smoothing_factor=label_smoothing,
            seed=seed,
            bf16=bf16,
            dataloader_num_workers=workers,
            resume=resume,
            report_to=report_to,
            save_steps=save_steps or 0,
            lr_scheduler_type=schedule,
        )

    @staticmethod
    def of(args: TrainingArguments) -> TrainingArguments:
        """The arguments themselves, which a record accepts."""
        return args


def __getattr__(name: str) -> Any:
    if name != "RunOptions":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        "RunOptions is now EmotionTrainingArguments; the old name works until 0.3",
        DeprecationWarning,
        stacklevel=2,
    )
    return _RunOptions()


__all__ = ["EmotionTrainingArguments", "read_config_overrides"]
