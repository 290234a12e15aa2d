"""Checkpoints in one piece: killed or out of room while it saves, a run still has the one before."""

import json
import os
import shutil
from pathlib import Path

from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints

from ..errors import InputError

PARTIAL = "partial"


class SafeTrainer(Trainer):
    """A [`Trainer`] whose checkpoints get their name when every process has written its part.

    Until then they stand in `checkpoints/partial`, and the checkpoint before is kept.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._saves_to: str | None = None
        self.add_callback(LogBeforeSavingCallback())

    def state_of_rank(self) -> dict:
        """JSON values that each process adds to a checkpoint."""
        return {}

    def rank_state(self, checkpoint: str) -> dict:
        """What [`state_of_rank`] gave when a checkpoint was written.

        Raises:
            InputError: the checkpoint has nothing of this process.
        """
        path = self._rank_file(Path(checkpoint))
        if not path.is_file():
            raise InputError(
                f"{checkpoint}: has no {path.name}; go on with as many processes as the checkpoint was written by, or "
                "start anew"
            )
        return json.loads(path.read_text(encoding="utf-8"))

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
        limit, self.args.save_total_limit = self.args.save_total_limit, None  # the one before must stay for now
        self._saves_to = str(partial)
        try:
            super()._save_checkpoint(model, trial)
            if state := self.state_of_rank():
                self._rank_file(partial / name).write_text(json.dumps(state), encoding="utf-8")
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._name_best(partial, folder, name)
                _reach_disk(partial / name)
        except (OSError, RuntimeError, SafetensorError) as error:
            if isinstance(error, RuntimeError) and "inline_container" not in str(error):  # torch.save's own
                raise
            if self.args.should_save:
                shutil.rmtree(partial, ignore_errors=True)
            raise InputError(
                f"{folder / name}: cannot be written ({_reason(error)}); mend that and go on with --resume: the "
                "checkpoint before is whole"
            ) from error
        finally:
            self._saves_to, self.args.save_total_limit = None, limit
        if self.args.should_save:
            shutil.rmtree(folder / name, ignore_errors=True)  # of a run that was killed at this very point
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
    """Losses are logged whenever a checkpoint is written: none is summed across it, so a resumed run logs the same."""

    def on_step_end(self, args, state, control, **kwargs):
        """Called behind [`Trainer`]'s own decision to save."""
        control.should_log = control.should_log or control.should_save


def _reach_disk(folder: Path) -> None:
    """Wait until the files of a folder are on the disk."""
    for path in [folder, *(file for file in folder.rglob("*") if file.is_file())]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return text.splitlines()[0]


__all__ = ["LogBeforeSavingCallback", "SafeTrainer"]
