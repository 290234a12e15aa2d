"""The record of a run: what was done, with what, for how long, and what came out."""

import datetime
import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from ..deprecated import renamed_names
from ..hub import write_card
from ..utils import write_json, writing
from .arguments import CHECKPOINTS

logger = logging.getLogger(__name__)

LIBRARIES = ("torch", "torchaudio", "transformers", "datasets", "accelerate", "av-emotion-hf")
RESUME = ", then continue with --resume"


class RunRecord:
    """Collects the facts of a run and writes them beside the model as `run.json`.

    Args:
        command: which one ran, or the recipe of it.
        args: of the run; the record is written to their `output_dir`. A loop without Trainer passes the values of
            [`recorded_options`] instead, with the path of the folder as `out`.
        **settings: what the recipe adds, such as the labels or the groups of each part.

    Attributes:
        facts: what is written.
    """

    def __init__(self, command: str, args: TrainingArguments | Mapping[str, Any], **settings: Any):
        self.started, self.cpu_started = time.perf_counter(), time.process_time()
        if isinstance(args, TrainingArguments):
            self.folder, options = Path(args.output_dir or "."), recorded_options(args)
        else:
            self.folder = Path(args["out"])
            options = {**args, "out": self.folder.name}
        self.facts: dict[str, Any] = {"verb": command, "options": options, "settings": settings}

    def finish(self, trainer: Trainer, scores: dict[str, Any], processor: Any = None) -> dict[str, Any]:
        """Save the trainer's model and `processor`, then the record; what a resume would need is removed.

        Raises:
            InputError: a file cannot be written. The error has the record as its `result`, and a resumed run writes
                what is missing.
        """
        state, args = trainer.state, trainer.args
        assert trainer.model is not None
        self.complete(trainer.model, scores, state.log_history, state.global_step, args.device, args.world_size)
        with writing(self.folder, f"{RESUME}; the checkpoints are kept", self.facts):
            trainer.save_model(str(self.folder))
            if processor is not None and trainer.is_world_process_zero():
                processor.save_pretrained(str(self.folder))
        if trainer.is_world_process_zero():
            with writing(self.folder / "run.json", f"{RESUME}; the model is saved", self.facts):
                self.write()
            checkpoints = self.folder / CHECKPOINTS
            if (checkpoints / "runs").is_dir():  # what a tracker wrote
                shutil.move(checkpoints / "runs", self.folder)
            shutil.rmtree(checkpoints, ignore_errors=True)
            (self.folder / "training_args.bin").unlink(missing_ok=True)
        return self.facts

    def write_card(self) -> None:
        """Write the card of the finished model, from its record.

        Raises:
            InputError: it cannot be written. The error has the record as its `result`.
        """
        then = "; the model and its record are saved, and av_emotion_hf.hub.write_card or push makes the card"
        with writing(self.folder / "README.md", then, self.facts):
            write_card(self.folder)

    def complete(
        self,
        model: torch.nn.Module,
        scores: dict[str, Any],
        history: list[dict],
        steps: int,
        device: torch.device,
        processes: int,
    ) -> None:
        """Add what is known at the end of a run."""
        self.facts |= {
            "scores": {name: value for name, value in scores.items() if isinstance(value, int | float)},
            "history": history,
            "steps": steps,
            "seconds": round(time.perf_counter() - self.started, 1),
            "cpu_seconds": round(time.process_time() - self.cpu_started, 1),  # what a busy machine does not prolong
            "device": str(device),
            "hardware": hardware(),
            "processes": processes,
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in model.parameters()),
            "date": datetime.date.today().isoformat(),
            "python": sys.version.split()[0],
            "versions": {name: version(name) for name in LIBRARIES},
        }

    def write(self) -> None:
        """Write `run.json`."""
        write_json(self.folder / "run.json", self.facts)


def recorded_options(args: TrainingArguments) -> dict[str, Any]:
    """The arguments of a run under the names that `run.json`, cards and results have for them."""
    by_steps = str(getattr(args.save_strategy, "value", args.save_strategy)) == "steps"
    return {
        "out": Path(args.output_dir or ".").name,
        "epochs": args.num_train_epochs,
        "max_steps": args.max_steps,
        "batch_size": args.per_device_train_batch_size * args.gradient_accumulation_steps,
        "learning_rate": args.learning_rate,
        "weight_decay": args.weight_decay,
        "warmup": args.warmup_steps,
        "label_smoothing": args.label_smoothing_factor,
        "seed": args.seed,
        "bf16": args.bf16,
        "workers": args.dataloader_num_workers,
        "resume": getattr(args, "resume", False) or args.resume_from_checkpoint is not None,
        "report_to": ",".join(args.report_to or []) or "none",
        "save_steps": args.save_steps if by_steps else None,
        "schedule": str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)),
    }


def report_missing_classes(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Log the classes that have no clip in one part of the data.

    Args:
        counts: clips by class, by part (`train`, `validation`).
    """
    for part, clips in counts.items():
        missing = [label for label, count in clips.items() if not count]
        if missing and part == "train":
            logger.warning("no training clip of %s: the model cannot learn it", ", ".join(missing))
        elif missing:
            logger.warning(
                "no %s clip of %s: the scores are over %d of %d classes",
                *(part, ", ".join(missing), len(clips) - len(missing), len(clips)),
            )


def hardware() -> str:
    """The processor that computes: the graphics card, or the CPU and how many of its cores there are."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def checkpoint_names(checkpoints: list[str] | None) -> list[str]:
    """Last parts of paths: a record says which checkpoints were used, not where they were."""
    return [Path(checkpoint).name for checkpoint in checkpoints or []]


def speech_encoder_facts(name: str | None, layers: int | None) -> dict[str, Any]:
    """Settings that name a speech encoder, if there is one: a Hub name, or of a folder the last part of its path."""
    if name is None:
        return {}
    is_folder = Path(name).expanduser().exists()
    return {"speech_encoder": Path(name).name if is_folder else name, "speech_layers": layers}


__getattr__ = renamed_names(__name__, {"names": "training.record.checkpoint_names"})

__all__ = [
    "RunRecord",
    "checkpoint_names",
    "hardware",
    "recorded_options",
    "report_missing_classes",
    "speech_encoder_facts",
]
