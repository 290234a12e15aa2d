"""Self-training: a classifier labels a pool of unlabeled clips, and another one learns from these labels as well."""

import copy
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.dataset import AnyDataset, require_columns
from ..data.reader import ClipReader, ReaderOptions
from ..data.splits import GroupSplit, drop_augmented, keep_groups
from ..data.votes import VoteOptions
from ..errors import InputError, require_fraction
from ..hub import write_card
from ..utils import read_json, write_json, writing
from .arguments import CHECKPOINTS, EmotionTrainingArguments
from .finetuning import finetune
from .pseudo_labels import PoolReader, label_pool, require_same_form
from .record import RESUME

logger = logging.getLogger(__name__)

FIRST, SECOND = "labels", "pseudo-labels"  # what the two models learn from; their folders below `checkpoints`
NOTED = "pseudo_labels.json"


def self_train(
    dataset: AnyDataset,
    split: GroupSplit | None,
    *,
    pool: Sequence[tuple[str, AnyDataset]],
    args: EmotionTrainingArguments,
    modality: str,
    label_column: str = "emotion",
    group_column: str | None = None,
    corpus_column: str | None = None,
    reader_options: ReaderOptions | None = None,
    threshold: float = 0.3,
    fraction: float = 0.5,
    **settings: Any,
) -> dict[str, Any]:
    """[`finetune`] on labels, then from the same start on labels and pseudo-labels (Lee 2013); keep the better model.

    The first model labels the clips of a pool, with a confidence that is calibrated on the validation groups. Of each
    class that it finds there the same number of clips is kept, those of the highest confidence (Zou et al. 2018 rank
    within classes as well): a threshold alone would let through the classes that are easy. Better is the model
    with the higher UAR on the validation groups, and the first one if both are equal. An interrupted run resumes
    exactly: each model as in [`finetune`], and between them from the pseudo-labels that were written down.

    Args:
        dataset: labeled clips, inputs or features; no stream.
        split: groups to train and to validate on.
        pool: datasets to label, each with its name, in the form of `dataset`. Where they have the column of the
            group, clips of validation and test groups are left out. Labels that they may have are not read.
        args: of both trainings.
        modality: `audio`, `image` or `fusion`.
        label_column: column of the label.
        group_column: column of the group (speaker).
        corpus_column: see [`finetune`]; a dataset of the pool is one more.
        reader_options: how undecoded clips are read.
        threshold: lowest confidence of a clip that is kept.
        fraction: of the clips of the pool, how many are kept at most.
        **settings: see [`finetune`].

    Returns:
        The record of the kept model. Its `self_training` has the clips of the pool, those kept by class, the
        temperature, the expected calibration error on the validation clips before and after, and the validation UAR of
        both models.

    Raises:
        InputError: there are no validation groups, a dataset is a stream or has another form, no clip is in the pool,
            or what [`finetune`] raises.
    """
    require_fraction("pseudo_threshold", threshold)
    if not 0 < fraction <= 1:
        raise InputError(f"pseudo_fraction={fraction:g}: has to be above 0 and at most 1; use 0.5, for instance")
    if split is None or group_column is None or not split.validation:
        raise InputError(
            "pseudo-labels need validation groups, by which confidence is calibrated and the better model chosen: add "
            "--group-column, and leave groups for validation"
        )
    if (settings.get("votes") or VoteOptions()).are_in(dataset, label_column):
        raise InputError(
            "pseudo-labels are for clips with one label each, and these have votes; put their mode into a column of "
            "its own, or leave out --pseudo-labels"
        )
    require_columns(dataset, label_column, group_column, corpus_column)
    folder = _require_resumable(args)
    reader = ClipReader("both" if modality == "fusion" else modality, reader_options)
    tables = PoolReader(reader, split, label_column, group_column, corpus_column, args.dataloader_num_workers or None)
    labeled, unlabeled = tables.labeled(dataset), tables.unlabeled(pool)
    require_same_form([labeled, unlabeled.rows])
    common = {
        "modality": modality,
        "label_column": label_column,
        "group_column": group_column,
        "corpus_column": corpus_column,
        "reader_options": reader_options,
        **settings,
    }
    records = {FIRST: _train(folder / FIRST, args, labeled, split, common)}
    with args.main_process_first(local=False):
        if not (folder / NOTED).is_file():
            found = label_pool(
                str(folder / FIRST),
                drop_augmented(keep_groups(labeled, group_column, split.validation)),
                unlabeled.rows,
                label_column,
                threshold=threshold,
                fraction=fraction,
                batch_size=args.per_device_eval_batch_size,
                device=args.device,
            )
            write_json(folder / NOTED, found)
        noted = read_json(folder / NOTED)
    rows, index = noted.pop("rows"), noted.pop("index")
    if rows:
        both = tables.joined(labeled, unlabeled, rows, index)
        groups = {*split.train, *(unlabeled.groups[row] for row in rows)}
        more = GroupSplit(tuple(sorted(groups)), split.validation, split.test)
        records[SECOND] = _train(folder / SECOND, args, both, more, common)
    else:
        counts = ", ".join(f"{name} {count}" for name, count in noted["sure"].items())
        logger.warning("no clip of the pool was learned from; so many have a confidence of %g: %s", threshold, counts)
    scores = {name: record["scores"]["validation_uar"] for name, record in records.items()}
    kept = max(scores, key=lambda name: scores[name])  # the first of equal ones
    facts = records[kept]
    facts["options"]["out"] = args.result_dir.name
    for name in ("seconds", "cpu_seconds"):
        facts[name] = round(sum(record[name] for record in records.values()), 1)
    facts["self_training"] = {
        "pool": dict(Counter(unlabeled.names)),
        "threshold": threshold,
        "fraction": fraction,
        **noted,
        "validation_uar": scores,
        "kept_model": kept,
    }
    if args.process_index == 0:
        _finish(args.result_dir, folder / kept, facts)
    return facts


def _require_resumable(args: EmotionTrainingArguments) -> Path:
    """Folder of what the run needs until it is finished.

    Raises:
        InputError: see [`EmotionTrainingArguments.last_checkpoint`]; or what was interrupted was no self-training.
    """
    folder = args.result_dir / CHECKPOINTS
    if not (args.resume and (folder / FIRST).is_dir()) and args.last_checkpoint() is not None:
        raise InputError(
            f"{args.result_dir}: was interrupted in a training without a pool; continue it without --pseudo-labels, "
            "or choose another --out"
        )
    return folder


def _train(
    folder: Path, args: EmotionTrainingArguments, dataset: AnyDataset, split: GroupSplit, settings: dict[str, Any]
) -> dict[str, Any]:
    """The record of the model in a folder, which is trained (on) where that is not done."""
    if (folder / "run.json").is_file():
        return read_json(folder / "run.json")
    own = copy.copy(args)
    own.output_dir, own.resume = str(folder), (folder / CHECKPOINTS).is_dir()
    return finetune(dataset, split, args=own, **settings)


def _finish(result: Path, kept: Path, facts: dict[str, Any]) -> None:
    """Copy the kept model to its place, with the record and card of the whole run, and remove the others."""
    with writing(result, f"{RESUME}; both models are kept", facts):
        ignored = shutil.ignore_patterns("run.json", "README.md")
        shutil.copytree(kept, result, dirs_exist_ok=True, ignore=ignored)
        write_json(result / "run.json", facts)
    shutil.rmtree(result / CHECKPOINTS, ignore_errors=True)
    with writing(result / "README.md", "; the model and its record are saved", facts):
        write_card(result)


__all__ = ["self_train"]
