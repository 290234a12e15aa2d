"""Training arguments that every recipe of this package shares."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import IterableDataset
from transformers import TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from ..errors import InputError


@dataclass
class RunOptions:
    """What a user may set on every training verb.

    Attributes:
        out: folder of the result; holds the model and, below `checkpoints`, what a killed run goes on from.
        epochs: passes over the data; not for streams.
        max_steps: optimiser steps; wins over `epochs` when positive.
        batch_size: clips (or pictures) per step and device.
        learning_rate: peak of the schedule.
        weight_decay: of AdamW.
        warmup: share of the steps over which the learning rate rises; or their number, from 1 on.
        label_smoothing: share of the target spread over all classes.
        seed: of weights, order, masks and dropout.
        bf16: compute in bfloat16 where that is safe.
        workers: processes that read data.
        resume: go on from the last checkpoint below `out`.
        report_to: a tracker that Trainer knows, such as `tensorboard`.
        save_steps: optimiser steps between checkpoints; an epoch, or a tenth of `max_steps`, when `None`.
        schedule: course of the learning rate.
    """

    out: str
    epochs: float = 10
    max_steps: int = -1
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    label_smoothing: float = 0.0
    seed: int = 0
    bf16: bool = False
    workers: int = 0
    resume: bool = False
    report_to: str = "none"
    save_steps: int | None = None
    schedule: str = "cosine"

    @classmethod
    def of(cls, args: TrainingArguments) -> "RunOptions":
        """The options that arguments of a script of one's own come to, for the record of its run."""
        return cls(
            out=args.output_dir,
            epochs=args.num_train_epochs,
            max_steps=args.max_steps,
            batch_size=args.per_device_train_batch_size * args.gradient_accumulation_steps,
            learning_rate=args.learning_rate,
            weight_decay=args.weight_decay,
            warmup=args.warmup_steps,
            label_smoothing=args.label_smoothing_factor,
            seed=args.seed,
            bf16=args.bf16,
            workers=args.dataloader_num_workers,
            schedule=str(args.lr_scheduler_type.value),
        )

    def training_arguments(self, *, has_evaluation: bool, best_metric: str | None = None, **overrides):
        """The [`TrainingArguments`] of this run; `best_metric` names what the kept checkpoint is best in."""
        settings = {
            "output_dir": str(Path(self.out) / "checkpoints"),
            "num_train_epochs": self.epochs,
            "max_steps": self.max_steps,
            "per_device_train_batch_size": self.batch_size,
            "per_device_eval_batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "warmup_steps": self.warmup,
            "lr_scheduler_type": self.schedule,
            "label_smoothing_factor": self.label_smoothing,
            "max_grad_norm": 1.0,
            "seed": self.seed,
            "bf16": self.bf16,
            "use_cpu": not torch.accelerator.is_available(),  # else bf16 is refused on a CPU
            "dataloader_num_workers": self.workers,
            "dataloader_pin_memory": torch.cuda.is_available(),
            "report_to": self.report_to,
            "logging_nan_inf_filter": False,  # it would wait for the device at every step, and hide what went wrong
            "logging_strategy": "epoch",
            "eval_strategy": "epoch" if has_evaluation else "no",
            "save_strategy": "epoch",
            "save_total_limit": 1,
            "load_best_model_at_end": has_evaluation and best_metric is not None,
            "metric_for_best_model": best_metric if has_evaluation else None,
            "remove_unused_columns": False,
            # every rank reads its own shards; by default rank 0 would decode for all
            "accelerator_config": {"dispatch_batches": False},
        }
        if self.max_steps > 0:
            every = max(1, self.max_steps // 10)
            settings |= dict.fromkeys(("logging_steps", "eval_steps", "save_steps"), every)
            settings |= {"logging_strategy": "steps", "save_strategy": "steps"}
            settings["eval_strategy"] = "steps" if has_evaluation else "no"
        if self.save_steps is not None:  # the best checkpoint is looked for where there is one
            settings |= dict.fromkeys(("save_steps", "eval_steps"), self.save_steps) | {"save_strategy": "steps"}
            settings["eval_strategy"] = "steps" if has_evaluation else "no"
        return TrainingArguments(**(settings | overrides))

    def require_length(self, dataset) -> None:
        """Raise [`InputError`] for a stream, whose length is unknown, unless `max_steps` says how long to train."""
        if isinstance(dataset, IterableDataset) and self.max_steps <= 0:
            raise InputError("a stream has no known length: say how long to train with --max-steps")

    def last_checkpoint(self) -> str | None:
        """The checkpoint to resume from, or `None` when the run starts anew.

        Raises:
            InputError: `resume` was asked for and there is nothing to resume, or the folder is taken.
        """
        folder = Path(self.out)
        found = get_last_checkpoint(str(folder / "checkpoints")) if (folder / "checkpoints").is_dir() else None
        # a run that was killed before its first checkpoint starts over
        begun = folder.is_dir() and {path.name for path in folder.iterdir()} == {"checkpoints"}
        if self.resume and found is None and not begun:
            raise InputError(f"{self.out}: holds no checkpoint to resume from; start without --resume")
        if not self.resume and folder.exists() and any(folder.iterdir()):
            raise InputError(f"{self.out}: is not empty; choose another --out, or go on with --resume")
        return found if self.resume else None

    def as_dict(self) -> dict:
        """The options as they go into `run.json`."""
        return dataclasses.asdict(self) | {"out": Path(self.out).name}


__all__ = ["RunOptions"]
