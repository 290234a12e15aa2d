"""Distillation of a speech encoder into a model that hears descriptors alone: what it needs, and how it went."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..checkpoints import read_config
from ..data.dataset import AnyDataset
from ..data.row_source import RowSource
from ..data.schema import FEATURE_COLUMNS, NUM_DESCRIPTORS
from ..errors import InputError

COLUMNS = [FEATURE_COLUMNS["audio"], NUM_DESCRIPTORS]


def with_teacher(
    config_overrides: dict[str, Any],
    init: Sequence[str],
    datasets: Sequence[AnyDataset],
    speech_encoder: str | None = None,
) -> dict[str, Any]:
    """Configuration fields of an audio model, with the size of the teacher's states where its objective is `distill`.

    Args:
        config_overrides: fields that differ from those of the checkpoints.
        init: checkpoints to start from, the objective of the last of which counts if `config_overrides` has none.
        datasets: to learn from and to validate on.
        speech_encoder: backbone of the model; one that is distilled into has none.

    Raises:
        InputError: a backbone is given, or the datasets do not have states of one speech encoder.
    """
    objective = config_overrides.get("objective")
    for checkpoint in init if objective is None else ():
        config = read_config(checkpoint)
        objective = getattr(getattr(config, "audio_config", config), "objective", objective)
    if objective != "distill":
        return config_overrides
    if speech_encoder is not None:
        raise InputError(
            f"--speech-encoder {speech_encoder}: a model that learns from a speech encoder (--objective distill) has "
            "none of its own; leave it out here, and name it to `extract`"
        )
    sizes = sorted({size for dataset in datasets if (size := _teacher_size(dataset)) is not None})
    if not sizes:
        raise InputError("the datasets have no audio frame to learn from; check that their clips have audio")
    if len(sizes) > 1:
        raise InputError(
            f"the datasets have {sizes[0]} and {sizes[-1]} states per frame, of different speech encoders; extract "
            "all of them with the same one"
        )
    return config_overrides | {"teacher_size": sizes[0]}


def _teacher_size(dataset: AnyDataset) -> int | None:
    """States of a speech encoder per frame, as in the first clip that has any frame."""
    if not set(COLUMNS) <= set(dataset.features):
        raise InputError(
            "--objective distill needs frames of a speech encoder beside the descriptors, and a dataset has none "
            f"(its columns: {', '.join(dataset.features)}); write them with `av-emotion extract CLIPS --modality "
            "audio --as features --speech-encoder openai/whisper-base --speech-layers 3 --out SHARDS`"
        )
    stream = dataset.to_iterable_dataset() if isinstance(dataset, Dataset) else dataset
    source = RowSource(stream.select_columns(COLUMNS))
    for shard in range(source.num_shards):
        for row_group in range(source.num_row_groups(shard)):
            for _, rows in source.rows(shard, row_group):
                for row in rows:
                    if len(row[COLUMNS[0]]):
                        return row[COLUMNS[0]].shape[1] - row[NUM_DESCRIPTORS]
    return None


@torch.no_grad()
def distillation_report(model: Any, dataset: AnyDataset, collate: Callable, batch_size: int = 32) -> dict[str, float]:
    """How well a model predicts its teacher's states.

    Args:
        model: a pre-training model with the objective `distill`.
        dataset: rows of features with the states.
        collate: makes batches with masks of hidden frames.
        batch_size: clips per batch.

    Returns:
        `frames` and `hidden_frames`; `error`, the mean squared distance to the states in squared standard deviations
        of the dataset when the model sees all frames, `error_of_hidden` in the frames that `collate` hides, and
        `error_of_mean`, of the same state everywhere.
    """
    model.eval()
    frames = hidden_frames = 0
    errors = dict.fromkeys(("error", "error_of_hidden", "error_of_mean"), 0.0)
    for batch in tqdm(DataLoader(dataset, batch_size=batch_size, collate_fn=collate), desc="Measuring the teacher"):
        batch = {name: value.to(model.device) for name, value in batch.items()}
        masked = model(**batch)
        complete = model(**batch | {"mask_time_indices": torch.zeros_like(batch["mask_time_indices"])})
        target = model.teacher.standardize(batch["teacher_states"])
        for name, guess, counted in (
            ("error", complete.reconstruction, complete.frame_mask),
            ("error_of_hidden", masked.reconstruction, masked.mask_time_indices),
            ("error_of_mean", torch.zeros_like(target), complete.frame_mask),
        ):
            errors[name] += (guess - target)[counted].double().square().mean(-1).sum().item()
        frames += int(complete.frame_mask.sum())
        hidden_frames += int(masked.mask_time_indices.sum())
    counts = {"error": frames, "error_of_hidden": hidden_frames, "error_of_mean": frames}
    means = {name: error / max(1, counts[name]) for name, error in errors.items()}
    return {"frames": frames, "hidden_frames": hidden_frames} | means


__all__ = ["distillation_report", "with_teacher"]
