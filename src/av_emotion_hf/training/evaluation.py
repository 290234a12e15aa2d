"""Evaluation of a classifier on labelled clips: scores, confusion matrix and the protocol they hold for."""

import datetime
from pathlib import Path

import numpy as np
import torch
from datasets import Image
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..checkpoints import load_classifier
from ..data.collators import ClipCollator
from ..data.dataset import AnyDataset, encode_labels, require_columns
from ..data.reader import ClipReader, with_inputs
from ..errors import InputError
from .expression import FaceCollator
from .metrics import SCORES, confusion_matrix
from .record import write_json


def evaluate(
    checkpoint: str,
    dataset: AnyDataset,
    label_column: str,
    out: str | None = None,
    batch_size: int = 16,
    modalities: tuple[str, ...] = ("audio", "image"),
    fps: float = 10.0,
    detector: str = "auto",
    protocol: dict | None = None,
) -> dict:
    """Score a classifier.

    Args:
        checkpoint: an audio, image or fusion classifier, or an expression recogniser (for pictures).
        dataset: labelled clips, inputs or features.
        label_column: where the label stands.
        out: JSON file to write.
        batch_size: clips per step.
        modalities: what a fusion classifier gets to hear and see.
        fps: frames per second of clips that stand undecoded in the dataset.
        detector: name of the face detector for such clips.
        protocol: where the data come from and which part they are, for the record.

    Returns:
        `uar`, `war`, `macro_f1`, `recalls`, `confusion_matrix` (rows = true), `labels`, `clips`, `protocol`.

    Raises:
        InputError: a column is missing, a label is unknown to the classifier, or nothing is left to score.
    """
    require_columns(dataset, label_column)
    modality, classifier = load_classifier(checkpoint)
    model = classifier.model
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    if modality == "expression":
        collate = FaceCollator(classifier.image_processor, image_column(dataset))
    else:
        if modality == "fusion" and len(set(modalities)) == 1:
            modality = modalities[0]
        dataset = with_inputs(
            dataset, ClipReader("both" if modality == "fusion" else modality, fps=fps, detector=detector)
        )
        collate = ClipCollator(
            modality, classifier.feature_extractor, classifier.image_processor, classifier.feature_sizes
        )
    dataset = encode_labels(dataset, label_column, labels)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    references, predictions = [], []
    for batch in tqdm(DataLoader(dataset, batch_size=batch_size, collate_fn=collate), desc="Scoring", unit="batch"):
        references += batch.pop("labels").tolist()
        with torch.no_grad():
            logits = model(**{name: value.to(device) for name, value in batch.items()}).logits
        predictions += logits.argmax(-1).tolist()
    if not references:
        raise InputError("no labelled clip is left to score; check the groups and the label column")
    confusion = confusion_matrix(references, predictions, len(labels))
    totals = confusion.sum(axis=1)
    result = {name: score(confusion) for name, score in SCORES.items()}
    result |= {
        "recalls": {name: float(confusion[i, i] / totals[i]) if totals[i] else None for i, name in enumerate(labels)},
        "confusion_matrix": np.asarray(confusion).tolist(),
        "labels": labels,
        "clips": len(references),
        "protocol": {
            "checkpoint": Path(checkpoint).name,
            "label_column": label_column,
            "modalities": ["audio", "image"] if modality == "fusion" else [modality],
            "date": datetime.date.today().isoformat(),
            **(protocol or {}),
        },
    }
    if out is not None:
        write_json(Path(out), result)
    return result


def image_column(dataset: AnyDataset) -> str:
    """The first column of pictures.

    Raises:
        InputError: there is none.
    """
    for name, feature in dataset.features.items():
        if isinstance(feature, Image):
            return name
    raise InputError(f"the dataset has no column of pictures; it has {', '.join(dataset.features)}")


__all__ = ["evaluate"]
