"""Atomic checkpoints: a run that is interrupted while it saves, or runs out of disk space, has the previous one."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints

from ..errors import InputError
from ..utils import disk_failure, read_json, reason, write_text

PARTIAL = "partial"


class SafeTrainer(Trainer):
    """A [`Trainer`] whose checkpoints get their name when every process has written its part.

    Until then they are in `checkpoints/partial`, and the previous checkpoint is kept.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._saves_to: str | None = None
        self.add_callback(LogBeforeSavingCallback())

    def state_of_rank(self) -> dict:
        """JSON values that each process adds to a checkpoint."""
        return {}

    def rank_state(self, checkpoint: str) -> dict:
        """What [`state_of_rank`] returned when a checkpoint was written.

        Raises:
            InputError: the checkpoint has nothing of this process.
        """
        path = self._rank_file(Path(checkpoint))
        if not path.is_file():
            raise InputError(
                f"{checkpoint}: has no {path.name}; resume with as many processes as wrote the checkpoint, or start "
                "from scratch"
            )
        return read_json(path)

    def _rank_file(self, folder: Path) -> Path:
        return folder / f"process_{self.args.process_index}.json"

    def _get_output_dir(self, trial):
        return self._saves_to or super()._get_output_dir(trial)

    def _save_checkpoint(self, model, trial):
        folder = Path(self._get_output_dir(trial))
        partial, name = folder / PARTIAL, f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None  # the previous one must stay for now
        self._saves_to = str(partial)
        try:
            super()._save_checkpoint(model, trial)
            if state := self.state_of_rank():
                write_text(self._rank_file(partial / name), json.dumps(state))
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._name_best(partial, folder, name)
                _reach_disk(partial / name)
        except (OSError, RuntimeError, SafetensorError) as error:
            failure = disk_failure(error)
            if failure is None and isinstance(error, RuntimeError):  # not one of torch.save
                raise
            why, remedy = failure or (reason(error), "fix the problem")
            if self.args.should_save:
                shutil.rmtree(partial, ignore_errors=True)
            raise InputError(
                f"{folder / name}: could not save the checkpoint ({why}); {remedy}, then continue with --resume: the "
                "previous checkpoint is intact"
            ) from error
        finally:
            self._saves_to, self.args.save_total_limit = None, limit
        if self.args.should_save:
            shutil.rmtree(folder / name, ignore_errors=True)  # of a run that was interrupted at this very point
            (partial / name).rename(folder / name)
            _reach_disk(folder)
            rotate_checkpoints(
                output_dir=str(folder),
                save_total_limit=limit,
                best_model_checkpoint=self.state.best_model_checkpoint,
                use_mtime=False,
            )
        # each process loads the best one at the end, and only the one that saves knows its name for certain
        self.state.best_model_checkpoint = broadcast_object_list([self.state.best_model_checkpoint])[0]

    def _name_best(self, partial: Path, folder: Path, name: str) -> None:
        """The best checkpoint may be the one that is about to get its name."""
        if self.state.best_model_checkpoint == str(partial / name):
            self.state.best_model_checkpoint = str(folder / name)
            self.state.save_to_json(str(partial / name / "trainer_state.json"))


class LogBeforeSavingCallback(TrainerCallback):
    """Logs losses whenever a checkpoint is written: none is summed across it, so a resumed run logs the same."""

    def on_step_end(self, args, state, control, **kwargs):
        """Called after [`Trainer`]'s own decision to save."""
        control.should_log = control.should_log or control.should_save


def _reach_disk(folder: Path) -> None:
    """Wait until the files of a folder are on the disk."""
    if os.name == "nt":  # Windows flushes neither a folder nor a file that is open for reading
        return
    for path in [folder, *(file for file in folder.rglob("*") if file.is_file())]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


__all__ = ["LogBeforeSavingCallback", "SafeTrainer"]
