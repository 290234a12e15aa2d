"""MELD (Poria et al. 2019, ACL): conversations in a television series, 7 emotions.

13,708 utterances, 9,989 to train on, 1,109 to validate on (dev) and 2,610 to test: `train_sent_emo.csv` describes
`train_splits/dia0_utt0.mp4`, `dev_sent_emo.csv` `dev_splits_complete`, and `test_sent_emo.csv`
`output_repeated_splits_test`. Where that last folder has `final_videos_testdia0_utt0.mp4` as well, this is the
recording that the table describes, and is used. The published files lack dia110_utt7 of dev, and dia125_utt3 of train
is damaged.

The official parts are one fold. They share speakers: the six main persons are in all of them.
"""

import csv
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, shortened
from ..media.paths import MEDIA_SUFFIXES, Listing
from .corpus import UNKNOWN, ClipFacts, Corpus

logger = logging.getLogger(__name__)

EMOTIONS = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "joy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}
PART = "part"
FOLDERS = {"train_splits": "train", "dev_splits_complete": "dev", "output_repeated_splits_test": "test"}
TABLES = {f"{part}_sent_emo.csv": part for part in FOLDERS.values()}
NAME = re.compile(r"(final_videos_test)?(dia\d+_utt\d+)")


def describe(listing: Listing) -> Iterator[tuple[Path, ClipFacts | str]]:
    """The clips of a folder; rows of the tables without a clip are logged with their number and names.

    Raises:
        InputError: there is none of the tables, or one lacks a column or has an emotion that MELD does not have.
    """
    tables = [path for path in listing.files if path.name in TABLES]
    if not tables:
        raise InputError(f"{listing.folder}: has none of the tables of MELD, {', '.join(TABLES)}; add them")
    clips: dict[str, ClipFacts] = {}
    for path in tables:
        clips |= _rows(path, TABLES[path.name])
    found = set()
    files = listing.having(MEDIA_SUFFIXES)
    for path in sorted(files, key=lambda path: not path.name.startswith("final_videos")):  # these come first
        name, part = NAME.fullmatch(path.stem), FOLDERS.get(path.parent.name)
        key = f"{part}/{name[2]}" if name is not None and part is not None else ""
        found.add(key)
        has_table = part in {TABLES[path.name] for path in tables}
        yield path, clips.get(key) or ("not in the table" if key and has_table else UNKNOWN)
    if missing := [key for key in clips if key not in found]:
        logger.warning("%s: its tables have rows without a clip, %s", listing.folder, shortened(missing))


def _rows(path: Path, part: str) -> dict[str, ClipFacts]:
    """What a table says of each clip; its texts, which are not read, may have damaged characters."""
    clips = {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            try:
                name = f"dia{int(row['Dialogue_ID'])}_utt{int(row['Utterance_ID'])}"
                emotion, speaker = EMOTIONS[row["Emotion"].strip().lower()], row["Speaker"].strip()
            except (KeyError, ValueError, AttributeError, TypeError) as error:
                raise InputError(
                    f"{path}: row {number} is not one of MELD ({error}): Speaker, Emotion, Dialogue_ID and "
                    "Utterance_ID are needed; copy the table again"
                ) from error
            clips[f"{part}/{name}"] = ClipFacts(f"{part}/{name}", emotion, speaker, {PART: part})
    return clips


MELD = Corpus(
    name="meld",
    title="MELD",
    clips=13708,
    emotions=tuple(EMOTIONS.values()),
    folds={"official": ("test",)},
    protocol="official parts, Poria et al. 2019",
    example="train_sent_emo.csv and train_splits/dia0_utt0.mp4",
    describe=describe,
    columns=(PART,),
    tables=tuple(TABLES),
    group_column=PART,
    train=("train",),
    validation=("dev",),
    is_speaker_disjoint=False,
)

__all__ = ["MELD"]
