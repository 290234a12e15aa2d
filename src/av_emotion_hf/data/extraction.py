"""Extraction: a corpus of clips to Parquet shards of inputs or features, which train without decoding again."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from datasets import Audio, Dataset, Features
from tqdm.auto import tqdm

from ..errors import InputError
from .corpus import Corpus
from .inputs import SAMPLING_RATE, ClipReader, FeatureReader


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
        corpus: the clips.
        out: folder to make.
        reader: reads a clip into inputs.
        feature_reader: makes features of inputs.
        rows_per_shard: clips in one Parquet file.
        about: settings to note in the manifest.

    Returns:
        The manifest: settings, number of clips, seconds of clips, and the clips that could not be read with reasons.

    Raises:
        InputError: `out` exists, or not one clip could be read.
    """
    folder, partial = Path(out), Path(f"{out}.partial")
    if folder.exists():
        raise InputError(f"{out}: exists already; choose another --out or remove it first")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "data").mkdir(parents=True)

    media = ("video", "audio", "file", "path")
    kept = {name: feature for name, feature in corpus.features.items() if name not in media}
    columns = kept | dict(reader.features)
    if feature_reader is not None:
        columns = {name: column for name, column in columns.items() if name not in ("audio", "faces")}
        columns |= dict(feature_reader.features)
    del columns["error"]

    manifest = {"settings": about or {}, "clips": 0, "seconds": 0.0, "failures": []}
    total = corpus.num_rows if isinstance(corpus, Dataset) else None
    shards = []
    for rows in _batches(
        _read(tqdm(corpus, total=total, desc="Reading clips", unit="clip"), reader, manifest), rows_per_shard
    ):
        for row in rows if feature_reader is not None else []:
            row |= feature_reader(row)
        rows = [{name: row[name] for name in columns} for row in rows]
        shards.append(partial / "data" / f"{len(shards)}.parquet")
        shard = Dataset.from_list(rows, features=Features(columns))
        if "audio" in columns:
            shard = shard.cast_column("audio", Audio(sampling_rate=SAMPLING_RATE, decode=False))
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


def _read(rows, reader: ClipReader, manifest: dict) -> Iterator[dict]:
    for number, row in enumerate(rows):
        inputs = reader(row)
        if inputs["error"] is None:
            manifest["clips"] += 1
            manifest["seconds"] += inputs["duration"]
            yield row | inputs
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
