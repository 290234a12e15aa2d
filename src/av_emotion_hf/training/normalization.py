"""Mean and deviation of a model's frame features, from one pass over a dataset."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..data.clip_stream import ClipStream
from ..data.collators import ClipCollator
from ..data.dataset import AnyDataset
from ..data.schema import FEATURE_COLUMNS
from ..data.statistics import RunningStatistics
from ..errors import InputError

INPUT_ARGUMENTS = {"audio": ("input_values", "attention_mask"), "image": ("pixel_values", "pixel_mask")}


@torch.no_grad()
def estimate_statistics(
    model: PreTrainedModel,
    modality: str,
    dataset: AnyDataset | ClipStream,
    collate: ClipCollator,
    batch_size: int = 16,
    limit: int | None = None,
    process: tuple[int, int] = (0, 1),
    teacher_only: bool = False,
) -> dict[str, int | float]:
    """Set mean and deviation of the features of one modality in the model's buffers, from one pass over a dataset.

    Those of a teacher's states, where the batches have them, are estimated in the same pass.

    Args:
        model: any model of this package with an encoder of that modality.
        modality: `audio` or `image`.
        dataset: rows of inputs or features.
        collate: makes batches of them.
        batch_size: clips per batch.
        limit: number of clips to read; all of them when `None`.
        process: index of this process and how many there are; each reads its part, and all get the whole.
        teacher_only: leave the encoder's statistics as they are.

    Returns:
        `frames`, how many were read, and for audio `share_of_voiced_frames`, where the model's descriptors tell.

    Raises:
        InputError: the dataset has no frame of that modality.
    """
    encoder = getattr(model, f"{modality}_encoder").eval()
    size = encoder.num_features + collate.feature_sizes.get("teacher", 0)
    statistics, voicing = RunningStatistics(size, encoder.counted_cells), RunningStatistics(1)
    voiced = encoder.frontend.voicing_column if modality == "audio" else None
    rank, world = process
    batches: Iterable[dict[str, torch.Tensor]]
    if isinstance(dataset, ClipStream):
        part = dataset.one_pass(batch_size, rank, world, limit and -(-limit // world))
        batches = (collate(rows) for rows in part)
    else:
        clips = dataset.take(limit) if limit else dataset
        clips = clips.shard(world, rank) if isinstance(clips, Dataset) and world > 1 else clips
        batches = DataLoader(clips, batch_size=batch_size, collate_fn=collate)
    values, mask_name = INPUT_ARGUMENTS[modality]
    for batch in tqdm(batches, desc="Estimating statistics"):
        if FEATURE_COLUMNS[modality] in batch:
            features, mask = batch[FEATURE_COLUMNS[modality]], batch[mask_name].bool()
            if "teacher_states" in batch:
                features = torch.cat([features, batch["teacher_states"]], dim=-1)
        else:
            features, mask = encoder.extract_features(batch[values], batch[mask_name])
        frames = features[mask]
        if voiced is not None:
            voicing.update(frames[:, [voiced]].numpy() > 0.5)
        statistics.update(frames)
    if world > 1 and (isinstance(dataset, ClipStream | Dataset)):
        statistics, voicing = _merge_processes(statistics), _merge_processes(voicing)
    if not statistics.count.any():
        raise InputError(
            f"the dataset has no {modality} frame to learn from; check that its clips have audio (a face)"
        )
    set_feature_statistics(model, modality, statistics, teacher_only)
    voice = {"share_of_voiced_frames": round(float(voicing.mean[0]), 4)} if voiced is not None else {}
    return {"frames": int(statistics.count.max())} | voice


def set_feature_statistics(
    model: PreTrainedModel, modality: str, statistics: RunningStatistics, teacher_only: bool = False
) -> None:
    """Set mean and deviation of the features of one modality in the model's buffers.

    Args:
        model: any model of this package with an encoder of that modality.
        modality: `audio` or `image`.
        statistics: of the encoder's features; those of a teacher's states may follow.
        teacher_only: set the teacher's alone.
    """
    mean, std = (torch.from_numpy(values.astype(np.float32)) for values in (statistics.mean, statistics.std))
    encoder = getattr(model, f"{modality}_encoder")
    size = encoder.num_features
    if not teacher_only:
        encoder.set_feature_statistics(mean[:size], std[:size])
    if len(mean) > size:
        teacher: Any = model.get_submodule("teacher")  # of a pre-training model
        teacher.set_feature_statistics(mean[size:], std[size:])


def _merge_processes(part: RunningStatistics) -> RunningStatistics:
    total = RunningStatistics(len(part.mean))
    for values in gather_object([part.as_dict()]):
        total.merge(RunningStatistics.from_dict(values))
    return total


__all__ = ["estimate_statistics", "set_feature_statistics"]
