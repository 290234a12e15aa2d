"""Extraction: a corpus of clips to Parquet shards of inputs or features, which train without decoding again."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from datasets import Audio, Dataset, Features
from tqdm.auto import tqdm

from ..errors import InputError
from .corpus import Corpus
from .inputs import SAMPLING_RATE, ClipReader, FeatureReader, require_modality


def extract(
    corpus: Corpus,
    out: str,
    reader: ClipReader,
    feature_reader: FeatureReader | None = None,
    rows_per_shard: int = 500,
    about: dict | None = None,
) -> dict:
    """Read every clip and write `out/data/train-*.parquet` and `out/manifest.json`.

    The result is a dataset folder: `load_dataset(out)` opens it. Columns other than the clip are kept. With a
    `feature_reader` the inputs are replaced by features. Everything is written beside `out` and renamed at the end.

    Args:
        corpus: the clips; or inputs, of which features are to be made.
        out: folder to make.
        reader: reads a clip into inputs.
        feature_reader: makes features of inputs.
        rows_per_shard: clips in one Parquet file.
        about: settings to note in the manifest.

    Returns:
        The manifest: settings, number of clips, seconds of clips, and the clips that could not be read with reasons.

    Raises:
        InputError: `out` exists, the corpus has no clips, or not one could be read.
    """
    folder, partial = Path(out), Path(f"{out}.partial")
    if folder.exists():
        raise InputError(f"{out}: exists already; choose another --out or remove it first")
    wanted = [modality for modality in ("audio", "image") if reader.modality in (modality, "both")]
    kinds = {require_modality(corpus, modality) for modality in wanted}
    if "clips" not in kinds and (feature_reader is None or "features" in kinds):
        raise InputError("the corpus holds what was asked for already; there is nothing to extract")
    columns = _columns(corpus, reader if "clips" in kinds else None, feature_reader)
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "data").mkdir(parents=True)

    manifest = {"settings": about or {}, "clips": 0, "seconds": 0.0, "failures": []}
    total = corpus.num_rows if isinstance(corpus, Dataset) else None
    rows = tqdm(corpus, total=total, desc="Reading clips", unit="clip")
    shards = []
    for batch in _batches(_read(rows, reader if "clips" in kinds else None, manifest), rows_per_shard):
        if feature_reader is not None:
            batch = [row | feature_reader(row) for row in batch]
        shard = Dataset.from_list([{name: row[name] for name in columns} for row in batch], features=columns)
        if "audio" in columns:
            shard = shard.cast_column("audio", Audio(sampling_rate=SAMPLING_RATE, decode=False))
        shards.append(partial / "data" / f"{len(shards)}.parquet")
        shard.to_parquet(str(shards[-1]))
    if not shards:
        shutil.rmtree(partial)
        reason = manifest["failures"][0]["error"] if manifest["failures"] else "the corpus is empty"
        raise InputError(f"{out}: not one clip could be read, nothing was written; the first reason: {reason}")
    for number, shard in enumerate(shards):
        shard.rename(shard.with_name(f"train-{number:05d}-of-{len(shards):05d}.parquet"))
    manifest["seconds"] = round(manifest["seconds"], 2)
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.rename(folder)
    return manifest


def _columns(corpus: Corpus, reader: ClipReader | None, feature_reader: FeatureReader | None) -> Features:
    """What is written: the corpus' own columns, with inputs or features in place of the clips."""
    columns = dict(corpus.features)
    if reader is not None:
        columns = {name: column for name, column in columns.items() if name not in ("video", "audio", "file", "path")}
        columns |= dict(reader.features)
        del columns["error"]
    if feature_reader is not None:
        columns = {name: column for name, column in columns.items() if name not in ("audio", "faces")}
        columns |= dict(feature_reader.features)
    return Features(columns)


def _read(rows, reader: ClipReader | None, manifest: dict) -> Iterator[dict]:
    """The rows with their inputs; without a reader they have them already."""
    for number, row in enumerate(rows):
        inputs = reader(row) if reader is not None else {}
        if inputs.get("error") is None:
            row = row | inputs
            manifest["clips"] += 1
            manifest["seconds"] += row["duration"]
            yield row
        else:
            manifest["failures"].append({"row": number, "error": inputs["error"]})


def _batches(rows: Iterator[dict], size: int) -> Iterator[list[dict]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


__all__ = ["extract"]
