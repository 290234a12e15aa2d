"""Evaluation of a classifier on labeled clips: scores, confusion matrix and the protocol they hold for."""

import datetime
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Image
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..checkpoints import load_classifier
from ..data.collators import ClipCollator
from ..data.dataset import AnyDataset, column_values, require_columns, undecoded
from ..data.labels import encode_labels, name_of, read_labeled
from ..data.reader import ClipReader, ReaderOptions, with_inputs
from ..data.splits import drop_augmented
from ..data.votes import MAJORITY, VoteOptions, encode_votes, vote_agreement
from ..devices import choose_device
from ..errors import InputError
from ..utils import read_json, require_writable, write_json, writing
from .calibration import coverage, expected_calibration_error, probabilities, reliability
from .expression import FaceCollator
from .metrics import SCORES, confusion_matrix
from .person_baselines import GroupBaselines
from .score_balance import PRIOR_CLIPS, balance_scores

logger = logging.getLogger(__name__)
THRESHOLDS = tuple(number / 20 for number in range(20))  # confidences below which nothing is answered


def evaluate(
    checkpoint: str,
    dataset: AnyDataset,
    *,
    label_column: str = "emotion",
    votes: VoteOptions | None = None,
    out: str | None = None,
    batch_size: int = 16,
    modalities: tuple[str, ...] = ("audio", "image"),
    reader_options: ReaderOptions | None = None,
    group_column: str | None = None,
    person_baseline: bool = False,
    baseline_clips: int | None = None,
    balanced: bool = False,
    seed: int = 0,
    protocol: dict[str, Any] | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Score a classifier.

    Args:
        checkpoint: an audio, image or fusion classifier, or an expression recognizer (for images).
        dataset: labeled clips, inputs or features; augmented copies among them are left out.
        label_column: column of the label, or of the votes of several annotators.
        votes: how votes are read, also from columns of their own, see [`VoteOptions`]. Scored are the clips of which
            one class has the majority, see [`choose_labels`].
        out: JSON file to write.
        batch_size: clips per step.
        modalities: the input of a fusion classifier.
        reader_options: how undecoded clips of the dataset are read.
        group_column: column of the person, for `person_baseline`, `balanced` and the scores of each group.
        person_baseline: standardize each clip by statistics of the clips of its person, see [`PersonBaseline`]. No
            label is used, but the clips that are scored are (the task is transductive): all scored clips of the
            person, the clip itself included.
        baseline_clips: use so many other clips of the person instead, drawn for each clip, or all others where these
            are fewer.
        balanced: answer from scores that are balanced over the clips of each group, see [`balance_scores`]: only where
            these hold every class about equally often. No label is used, but all scores of the group are. Clips
            without a group are answered as they are.
        seed: of the draw of `baseline_clips`.
        protocol: where the data come from and which part they are, for the record.
        device: where the model runs, see [`choose_device`].

    Returns:
        `uar`, `war`, `macro_f1`, `recalls`, `confusion_matrix` (rows = true), `labels`, `clips`, `protocol`, whose
        `person_baseline` says with how many clips and seconds of the person on average, or is `None`,
        and `balanced` over how many groups and with how many clips of one on average, or is `None`, and `votes` how
        they were read, how many clips were left out and how far the annotators agree, or is `None`;
        `not_tested`, the classes of which there is no clip, over which no score says anything; `no_answer`, by
        class the number of clips with neither audio nor a face, which count as not recognized; `ece`, `reliability`
        and `coverage` of the clips that were answered, see [`expected_calibration_error`] and so on, with the
        confidences as in [`THRESHOLDS`]; and `groups`, by name their `clips` and scores, empty without `group_column`
        and of streamed datasets, unless `balanced`.

    Raises:
        InputError: a column is missing, a label is unknown to the classifier, there is nothing to score, or `out`
            cannot be written. Where that shows only at the end, the error has the scores as its `result`.
    """
    if out is not None:
        require_writable(out)
    votes = votes or VoteOptions()
    are_votes = votes.are_in(dataset, label_column)
    require_columns(dataset, votes.label_column(label_column))
    if baseline_clips is not None and not person_baseline:
        raise InputError(f"baseline_clips={baseline_clips} without the person's baseline: add --person-baseline")
    if person_baseline and group_column is None:
        raise InputError("a person's baseline needs to know the persons: add --group-column (group_column)")
    if balanced and group_column is None:
        raise InputError("balanced scores need to know the groups: add --group-column (group_column)")
    if group_column is not None:
        require_columns(dataset, group_column)
    dataset = drop_augmented(dataset)
    choice = choose_device(device)
    logger.info("%s", choice)
    modality, classifier = load_classifier(checkpoint)
    model: Any = classifier.model  # one of five classes
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    collate: FaceCollator | ClipCollator
    vote_facts = None
    if are_votes:
        agreement = vote_agreement(dataset, label_column, votes)
        dataset, left_out = encode_votes(dataset, label_column, votes, labels, MAJORITY, "evaluation")
        vote_facts = votes.record() | {"left_out": left_out, "agreement": agreement}
    if modality == "expression":
        if person_baseline:
            raise InputError(
                f"{checkpoint}: is an expression recognizer, which has no person's baseline; evaluate an image model"
            )
        assert classifier.image_processor is not None  # what classifies images has one
        collate = FaceCollator(classifier.image_processor, image_column(dataset))
        dataset = undecoded(dataset) if are_votes else encode_labels(undecoded(dataset), label_column, labels)
    else:
        if modality == "fusion" and len(set(modalities)) == 1:
            modality = modalities[0]
        reader = ClipReader("both" if modality == "fusion" else modality, reader_options)
        if are_votes:
            dataset = with_inputs(dataset, reader, part="evaluation")
        else:
            dataset = read_labeled(dataset, label_column, labels, reader, part="evaluation")
        collate = ClipCollator(
            modality, classifier.feature_extractor, classifier.image_processor, classifier.feature_sizes
        )
    model.to(choice.device)
    baselines = None
    if person_baseline and group_column is not None:
        with choice.limited_threads():
            baselines = GroupBaselines(
                model, dataset, collate, group_column, baseline_clips, seed, choice.device, batch_size
            )
    references: list[int] = []
    answers: list[torch.Tensor] = []
    answered: list[torch.Tensor] = []
    batches = tqdm(DataLoader(dataset, batch_size=batch_size, collate_fn=collate), desc="Scoring", unit="batch")
    with torch.no_grad(), choice.limited_threads():
        for batch in batches:
            if baselines is not None:
                batch |= baselines.statistics(len(references), len(batch["labels"]))
            references += batch.pop("labels").tolist()
            answers.append(model(**{name: value.to(choice.device) for name, value in batch.items()}).logits.cpu())
            answered.append(has_input(batch, len(answers[-1])))
    if not references:
        raise InputError("there is no labeled clip to score; check the groups and the label column")
    scores, heard, balance = torch.cat(answers).double().numpy(), torch.cat(answered).numpy(), None
    scores, groups = np.where(heard[:, None], probabilities(scores), np.nan), None
    if group_column is not None and (balanced or isinstance(dataset, Dataset)):  # a stream is read once more for it
        groups = [name_of(value) for value in column_values(dataset, group_column)]
    if balanced and groups is not None:
        scores = balance_scores(scores, groups)
        balance = balance_mark([group for group, known in zip(groups, heard, strict=True) if known])
    predictions = np.where(heard, np.nan_to_num(scores).argmax(-1), -1)
    confusion = confusion_matrix(references, predictions, len(labels), no_answer=True)
    totals = confusion.sum(axis=1)
    result: dict[str, Any] = {name: score(confusion) for name, score in SCORES.items()}
    result |= {
        "recalls": {name: float(confusion[i, i] / totals[i]) if totals[i] else None for i, name in enumerate(labels)},
        "confusion_matrix": confusion[:, :-1].tolist(),
        "no_answer": {name: int(confusion[i, -1]) for i, name in enumerate(labels) if confusion[i, -1]},
        "not_tested": [name for name, total in zip(labels, totals, strict=True) if not total],
        "labels": labels,
        "clips": len(references),
        **calibration_of(scores[heard], np.array(references)[heard]),
        "groups": {} if groups is None else scores_of_groups(references, predictions, groups, len(labels)),
        "protocol": {
            "checkpoint": Path(checkpoint).name,
            "label_column": votes.label_column(label_column),
            "votes": vote_facts,
            "modalities": ["audio", "image"] if modality == "fusion" else [modality],
            "person_baseline": None if baselines is None else baselines.mark,
            "balanced": balance,
            "date": datetime.date.today().isoformat(),
            **(protocol or {}),
        },
    }
    if balanced and result["not_tested"]:
        logger.warning(
            "balanced over %d classes as if they were equally frequent, but there is no clip of %s: the scores say "
            "little; score without balanced",
            len(labels),
            ", ".join(result["not_tested"]),
        )
    if out is not None:
        with writing(out, result=result):
            write_json(out, result)
    return result


def calibration_of(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """`ece`, `reliability` and `coverage` of probabilities `(N, K)`; nothing of no clips."""
    if not len(labels):
        return {"ece": None, "reliability": [], "coverage": []}
    return {
        "ece": expected_calibration_error(scores, labels),
        "reliability": reliability(scores, labels),
        "coverage": coverage(scores, labels, THRESHOLDS),
    }


def scores_of_groups(
    references: Sequence[int], predictions: np.ndarray, groups: Sequence[str | None], num_labels: int
) -> dict[str, dict[str, float | int]]:
    """`clips` and scores of each group by name, in the order of names; clips without a group are in none.

    Args:
        references: true classes of N clips.
        predictions: predicted classes `(N,)`; -1 for no answer.
        groups: of each clip.
        num_labels: number of classes.
    """
    found = {}
    for name in sorted({group for group in groups if group is not None}):
        chosen = [number for number, group in enumerate(groups) if group == name]
        own = confusion_matrix(np.array(references)[chosen], predictions[chosen], num_labels, no_answer=True)
        found[name] = {"clips": len(chosen)} | {score: function(own) for score, function in SCORES.items()}
    return found


def has_input(batch: dict[str, torch.Tensor], size: int) -> torch.Tensor:
    """Which of the clips of a batch `(B,)` have audio or a face, according to its masks."""
    masks = [batch[name].any(dim=1).cpu() for name in ("attention_mask", "pixel_mask") if name in batch]
    return torch.stack(masks).any(dim=0) if masks else torch.ones(size, dtype=torch.bool)


def balance_mark(groups: Sequence[str | None]) -> dict[str, Any]:
    """Of a record: over how many groups scores were balanced, and the mean of their clips, from that of each clip."""
    counts = Counter(group for group in groups if group is not None)
    mean = round(counts.total() / len(counts), 2) if counts else 0.0
    return {"groups": len(counts), "mean_clips": mean, "prior_clips": PRIOR_CLIPS}


def image_column(dataset: AnyDataset) -> str:
    """The first column of images.

    Raises:
        InputError: there is none.
    """
    for name, feature in dataset.features.items():
        if isinstance(feature, Image):
            return name
    raise InputError(f"the dataset has no column of images; it has {', '.join(dataset.features)}")


def seen_in_training(checkpoint: str, groups: list[str]) -> list[str]:
    """Which of `groups` the checkpoint's own record names for training or validation."""
    record = Path(checkpoint) / "run.json"
    if not record.is_file():
        return []
    parts = read_json(record)["settings"].get("groups") or {}
    return sorted(set(groups) & {*parts.get("train", ()), *parts.get("validation", ())})


__all__ = ["evaluate", "has_input", "seen_in_training"]
