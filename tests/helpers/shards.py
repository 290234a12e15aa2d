"""Parquet shards of features in which each row tells its own number."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset, Features, List, Value

FRAMES = Features({"input_features": List(List(Value("float32")))})
SIZES = (7, 5, 12, 1, 9, 6)  # rows of six shards


def frames_of(number):
    """Features (T, 3) full of `number`, of a length that depends on it."""
    return np.full((1 + number % 9, 3), number, dtype=np.float32)


def number_of(row):
    """The number of a row."""
    assert (row["input_features"] == row["input_features"][0, 0]).all()
    return int(row["input_features"][0, 0])


def make_rows(numbers):
    """A dataset of the rows with these numbers."""
    return Dataset.from_dict({"input_features": [frames_of(n).tolist() for n in numbers]}, features=FRAMES)


def write_shards(folder: Path):
    """Shards of unequal size, in row groups of two; their rows are numbered through."""
    number = 0
    (folder / "data").mkdir(parents=True)
    for shard, size in enumerate(SIZES):
        table = make_rows(range(number, number + size)).with_format("arrow")[:]
        pq.write_table(table, folder / "data" / f"train-{shard:05d}.parquet", row_group_size=2)
        number += size
    return folder


def damage_shard(folder: Path, damage):
    """Cut off the end of the third shard, or flip bytes of its fourth row group; the numbers of the lost rows."""
    path = folder / "data" / "train-00002.parquet"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-20])
        return set(range(12, 24))
    start = pq.ParquetFile(path).metadata.row_group(3).column(0).data_page_offset
    path.write_bytes(content[:start] + b"\xff" * 60 + content[start + 60 :])
    return {18, 19}
