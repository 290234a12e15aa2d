"""Put the votes of FER+ beside FER2013's own labels, so that `train-expression` learns from both.

    python examples/fer2013_votes.py FER2013 VOTES.csv OUT

FER2013 has the columns `image` and `emotion`; VOTES.csv has `split`, `row` and a column of votes for each class. OUT
gets the same pictures, their own label under the names that the checkpoints use, and a column for each class. In the
training split these hold `OWN` votes for the picture's own label and those of the annotators; votes for contempt, for
nothing known and for no face are left out. In the others they hold the own label alone: that is what is tested, and
what validation chooses by.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from datasets import ClassLabel, Dataset, Image, Value

from av_emotion_hf import InputError, open_dataset

OWN = 10  # as many as there are annotators
# class, its name in FER2013, its column of votes
CLASSES = (
    ("neutral", "neutral", "neutral"),
    ("happy", "happy", "happiness"),
    ("surprised", "surprise", "surprise"),
    ("sad", "sad", "sadness"),
    ("angry", "angry", "anger"),
    ("disgust", "disgust", "disgust"),
    ("fearful", "fear", "fear"),
)
TRAIN = "train"


def read_votes(path: Path) -> dict[int, dict[str, str]]:
    """The line of each row of the training split that has one.

    Raises:
        InputError: there is no such file, or it lacks a column.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the table of votes of FER+")
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        missing = sorted({"split", "row", *(votes for _, _, votes in CLASSES)} - set(table.fieldnames or ()))
        if missing:
            raise InputError(f"{path.name}: has no column {missing[0]!r}; give the table of votes of FER+")
        return {int(line["row"]): line for line in table if line["split"] == TRAIN}


def with_votes(pictures: Dataset, votes: dict[int, dict[str, str]]) -> Dataset:
    """The pictures with a column of votes for each class.

    Raises:
        InputError: a label is not one of FER2013.
    """
    names = {own: name for name, own, _ in CLASSES}
    feature = pictures.features["emotion"]
    labels = [feature.names[each] if isinstance(feature, ClassLabel) else each for each in pictures["emotion"]]
    unknown = sorted({str(label) for label in labels} - set(names))
    if unknown:
        raise InputError(f"column 'emotion': {unknown[0]!r} is not a class of FER2013; they are {', '.join(names)}")
    columns = defaultdict(list)
    for row, label in enumerate(labels):
        for name, own, column in CLASSES:
            columns[name].append(OWN * (label == own) + int(votes[row][column] if row in votes else 0))
    found = pictures.select_columns("image").cast_column("image", Image(decode=False))
    found = found.add_column("emotion", [names[label] for label in labels], feature=Value("string"))
    for name, values in columns.items():
        found = found.add_column(name, values, feature=Value("int64"))
    return found


def main() -> None:
    """Write one file for each split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fer2013")
    parser.add_argument("votes", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    for split in (TRAIN, "validation", "test"):
        votes = read_votes(args.votes) if split == TRAIN else {}
        found = with_votes(open_dataset(args.fer2013, split), votes)
        found.to_parquet(str(args.out / f"{split}-00000-of-00001.parquet"))
        print(f"{split}: {len(found)} pictures, {len(votes)} with votes", flush=True)


if __name__ == "__main__":
    main()
