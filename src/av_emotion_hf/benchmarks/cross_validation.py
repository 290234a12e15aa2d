"""Scores over the folds of a benchmark: of one checkpoint, or of a model that is fine-tuned in each fold."""

import copy
import datetime
import json
import logging
import statistics
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..checkpoints import MODALITY_OF, read_config
from ..data.dataset import column_values
from ..data.labels import class_names
from ..data.reader import ClipReader, ReaderOptions, with_inputs
from ..data.splits import keep_groups
from ..errors import InputError
from ..training.arguments import CHECKPOINTS, EmotionTrainingArguments
from ..training.evaluation import evaluate
from ..training.finetuning import finetune
from ..training.metrics import SCORES
from ..training.record import checkpoint_names, recorded_options, speech_encoder_facts
from ..utils import read_json, require_writable, write_json, write_text, writing
from .catalog import Benchmark
from .corpus import EMOTION

logger = logging.getLogger(__name__)

INPUTS = {"audio": ("audio",), "image": ("image",), "fusion": ("audio", "image")}
OF_FOLD = ("clips", *SCORES, "recalls", "confusion_matrix", "no_answer", "not_tested")
FREE = ("out", "resume", "workers", "report_to", "save_steps")  # options that change no result
NOTED, SCORED = "benchmark.json", "scores.json"


def score_benchmark(
    checkpoint: str,
    benchmark: Benchmark,
    *,
    modality: str | None = None,
    out: str | None = None,
    batch_size: int = 16,
    reader_options: ReaderOptions | None = None,
    num_proc: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Score one checkpoint on the test part of each fold, see [`evaluate`].

    Args:
        checkpoint: an audio, image or fusion classifier.
        benchmark: see [`open_benchmark`].
        modality: the input of a fusion classifier, `audio`, `image` or `fusion`; that of the checkpoint by default.
        out: JSON file to write.
        batch_size: clips per step.
        reader_options: how the clips are read.
        num_proc: processes that read clips.
        device: where the model runs, see [`choose_device`].

    Returns:
        `mean` and `deviation` (of the sample; `None` for one fold) over the folds of `uar`, `war` and `macro_f1`;
        `folds`, by name its `test` groups and scores; `left_out`, the number of clips by class of those that the
        checkpoint does not know; `clips`, how many were scored, and `published_clips`, how many the corpus has; and
        the protocol.

    Raises:
        InputError: the checkpoint is no classifier of clips, has no part for the modality, or knows none of the
            classes; or there is nothing to score, or `out` cannot be written.
    """
    if out is not None:
        require_writable(out)
    config = read_config(checkpoint)
    own = MODALITY_OF[config.model_type]
    if own == "expression":
        raise InputError(f"{checkpoint}: is an expression recognizer of pictures; give a classifier of clips")
    modality = modality or own
    if own not in (modality, "fusion"):
        raise InputError(f"{checkpoint}: is a model for --modality {own}, not {modality}; leave --modality out")
    rows, left_out = _known_rows(checkpoint, benchmark, set((config.id2label or {}).values()))
    rows = _read(rows, modality, reader_options, num_proc)
    results = {
        fold: evaluate(
            checkpoint,
            keep_groups(rows, benchmark.corpus.group_column, groups),
            batch_size=batch_size,
            modalities=INPUTS[modality],
            device=device,
        )
        for fold, groups in _tested_folds(benchmark, rows).items()
    }
    record = _record(benchmark, modality, results, checkpoint=Path(checkpoint).name, left_out=left_out)
    _write(record, out)
    return record


def finetune_benchmark(
    benchmark: Benchmark,
    *,
    args: EmotionTrainingArguments,
    modality: str,
    validation_fraction: float = 0.2,
    reader_options: ReaderOptions | None = None,
    out: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Fine-tune a model in each fold and score it on the test part: the training and the test share no group.

    Validation groups choose the kept epoch; where none are published, they are drawn from the training groups of each
    fold, so the test has no part in any choice. The model of fold `1` is in `fold-1` below `args.output_dir`, with its
    record, card and `scores.json`. Calling it again with the same folder skips finished folds and resumes the one that
    was interrupted.

    Args:
        benchmark: see [`open_benchmark`].
        args: of each training; the folder is that of all folds.
        modality: `audio`, `image` or `fusion`.
        validation_fraction: fraction of the training groups that is drawn, with `args.seed`.
        reader_options: how the clips are read.
        out: JSON file to write.
        **settings: see [`finetune`], such as `init`, `config_overrides` and `head_first`.

    Returns:
        As [`score_benchmark`]; each fold has its `validation` groups and `validation_uar` as well.

    Raises:
        InputError: the folder holds folds that were trained with other settings, or what [`finetune`] raises.
    """
    if out is not None:
        require_writable(out)
    work = args.result_dir
    require_writable(work, is_folder=True)
    chosen = {
        "benchmark": benchmark.corpus.name,
        "modality": modality,
        "clips": len(benchmark.dataset),
        "validation_fraction": validation_fraction,
        "reader": asdict(reader_options or ReaderOptions()),
        **{name: value for name, value in recorded_options(args).items() if name not in FREE},
        **settings,
        "init": checkpoint_names(settings.get("init")),
        **speech_encoder_facts(settings.get("speech_encoder"), settings.get("speech_layers")),
    }
    _require_same(work / NOTED, json.loads(json.dumps(chosen, default=str)))
    rows = _read(benchmark.dataset, modality, reader_options, args.dataloader_num_workers or None)
    results = {}
    for fold in _tested_folds(benchmark, rows):
        folder = work / f"fold-{fold}"
        if not (folder / SCORED).is_file():
            _train(benchmark, rows, fold, folder, args, modality, validation_fraction, settings)
        trained = read_json(folder / "run.json")
        results[fold] = read_json(folder / SCORED) | {
            "validation": trained["settings"]["groups"]["validation"],
            "validation_uar": trained["scores"].get("validation_uar"),
        }
    record = _record(benchmark, modality, results, finetuned=chosen, left_out={})
    _write(record, out)
    return record


def _train(
    benchmark: Benchmark,
    rows: Dataset,
    fold: str,
    folder: Path,
    args: EmotionTrainingArguments,
    modality: str,
    validation_fraction: float,
    settings: dict[str, Any],
) -> None:
    """Train the model of a fold, unless that is done, and score it."""
    column = benchmark.corpus.group_column
    split = Benchmark(benchmark.corpus, rows).split(fold, validation_fraction, args.seed)
    facts = {"dataset": benchmark.corpus.title, "fold": fold, "protocol": benchmark.corpus.protocol}
    if not (folder / "run.json").is_file():
        logger.info("fold %s: training on %d groups, testing on %s", fold, len(split.train), ", ".join(split.test))
        own = copy.copy(args)
        own.output_dir, own.resume = str(folder), (folder / CHECKPOINTS).is_dir()
        finetune(
            rows,
            split,
            args=own,
            modality=modality,
            label_column=EMOTION,
            group_column=column,
            metadata=facts,
            **settings,
        )
    evaluate(
        str(folder),
        keep_groups(rows, column, split.test),
        out=str(folder / SCORED),
        batch_size=args.per_device_eval_batch_size,
        protocol=facts | {"group_column": column, "groups": list(split.test)},
        device=args.compute_on,
    )


def _require_same(noted: Path, chosen: dict[str, Any]) -> None:
    """Write down how the folds are trained, or compare it with what is written there."""
    if not noted.is_file():
        with writing(noted):
            write_json(noted, chosen)
        return
    before = read_json(noted)
    for name in sorted({*before, *chosen}):
        if before.get(name) != chosen.get(name):
            raise InputError(
                f"{noted.parent}: its folds were trained with {name} {before.get(name)!r}, not "
                f"{chosen.get(name)!r}; choose another --work, or the same settings"
            )


def _known_rows(checkpoint: str, benchmark: Benchmark, known: set[str]) -> tuple[Dataset, dict[str, int]]:
    """The clips of classes that a checkpoint knows, and how many the others have."""
    names = class_names(benchmark.dataset, EMOTION)
    unknown = Counter(name for name in names if name not in known)
    if unknown.total() == len(names):
        raise InputError(
            f"{checkpoint}: knows {', '.join(sorted(known))}, none of the classes of {benchmark.corpus.title} "
            f"({', '.join(benchmark.corpus.emotions)}); fine-tune it with --finetune"
        )
    left_out = {str(name): unknown[name] for name in benchmark.corpus.emotions if unknown[name]}
    if not left_out:
        return benchmark.dataset, {}
    logger.warning(
        "left out, since %s does not know the class: %s",
        Path(checkpoint).name,
        ", ".join(f"{count} clips of {name}" for name, count in left_out.items()),
    )
    return benchmark.dataset.select([row for row, name in enumerate(names) if name in known]), left_out


def _read(rows: Dataset, modality: str, options: ReaderOptions | None, num_proc: int | None) -> Dataset:
    """The clips as inputs, read once for all folds."""
    read = with_inputs(rows, ClipReader("both" if modality == "fusion" else modality, options), num_proc, "benchmark")
    assert isinstance(read, Dataset)  # as what it was made from
    return read


def _tested_folds(benchmark: Benchmark, rows: Dataset) -> dict[str, tuple[str, ...]]:
    """The folds of whose test groups there are clips; the others are logged."""
    present = set(column_values(rows, benchmark.corpus.group_column))
    tested = {fold: groups for fold, groups in benchmark.folds.items() if present & set(groups)}
    if not tested:
        raise InputError(
            f"{benchmark.corpus.title}: there is no clip of a tested group; add those of {benchmark.folds}"
        )
    if missing := [fold for fold in benchmark.folds if fold not in tested]:
        logger.warning(
            "%s: not scored, since there is no clip to test: fold %s", benchmark.corpus.title, ", ".join(missing)
        )
    return tested


def _record(benchmark: Benchmark, modality: str, results: dict[str, dict[str, Any]], **facts: Any) -> dict[str, Any]:
    """What is written: scores over the folds and of each."""
    corpus = benchmark.corpus
    values = {name: [result[name] for result in results.values()] for name in SCORES}
    return {
        "benchmark": corpus.name,
        "protocol": corpus.protocol,
        "is_speaker_disjoint": corpus.is_speaker_disjoint,
        "modalities": list(INPUTS[modality]),
        **facts,
        "clips": sum(result["clips"] for result in results.values()),
        "published_clips": corpus.clips,
        "mean": {name: statistics.mean(each) for name, each in values.items()},
        "deviation": {name: statistics.stdev(each) for name, each in values.items()} if len(results) > 1 else None,
        "labels": next(iter(results.values()))["labels"],
        "folds": {
            fold: {"test": list(benchmark.folds[fold])}
            | {name: result[name] for name in ("validation", "validation_uar", *OF_FOLD) if name in result}
            for fold, result in results.items()
        },
        "untested_folds": [fold for fold in benchmark.folds if fold not in results],
        "date": datetime.date.today().isoformat(),
    }


def _write(record: dict[str, Any], out: str | None) -> None:
    if out is not None:
        with writing(out, result=record):
            write_text(out, json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


__all__ = ["finetune_benchmark", "score_benchmark"]
