"""The record of a run: what was done, with what, for how long, and what came out."""

import datetime
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import Trainer

from .arguments import RunOptions

LIBRARIES = ("torch", "torchaudio", "transformers", "datasets", "accelerate", "av-emotion-hf")


class RunRecord:
    """Collects the facts of a run and writes them beside the model as `run.json`.

    Args:
        verb: which recipe ran.
        options: what the user set on every verb.
        **settings: what the recipe adds, such as the labels or the groups of each part.
    """

    def __init__(self, verb: str, options: RunOptions, **settings):
        self.started, self.cpu_started = time.perf_counter(), time.process_time()
        self.folder = Path(options.out)
        self.facts = {"verb": verb, "options": options.as_dict(), "settings": settings}

    def finish(self, trainer: Trainer, scores: dict[str, float], processor=None) -> dict:
        """Save the trainer's model and `processor`, then the record; what a resume would need is removed."""
        trainer.save_model(str(self.folder))
        if processor is not None and trainer.is_world_process_zero():
            processor.save_pretrained(str(self.folder))
        state, args = trainer.state, trainer.args
        self.complete(trainer.model, scores, state.log_history, state.global_step, args.device, args.world_size)
        if trainer.is_world_process_zero():
            self.write()
            if (self.folder / "checkpoints" / "runs").is_dir():  # what a tracker wrote
                shutil.move(self.folder / "checkpoints" / "runs", self.folder)
            shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
            (self.folder / "training_args.bin").unlink(missing_ok=True)
        return self.facts

    def complete(self, model, scores: dict, history: list[dict], steps: int, device, processes: int) -> None:
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


def hardware() -> str:
    """The processor that computes: the graphics card, or the CPU and how many of its cores there are."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def names(paths: list[str] | None) -> list[str]:
    """Last parts of paths: a record says which checkpoints were used, not where they lay."""
    return [Path(path).name for path in paths or []]


def write_json(path: Path, content: dict) -> None:
    """Write `content` under a temporary name, then rename: there is never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.rename(path)


__all__ = ["RunRecord", "hardware", "names", "write_json"]
