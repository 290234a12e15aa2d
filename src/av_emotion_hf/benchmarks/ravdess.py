"""RAVDESS (Livingstone and Russo 2018, PLOS ONE): 24 actors, two sentences, 8 emotions; its speech.

1,440 clips: `Actor_01/01-01-03-01-01-01-01.mp4` with their sound alone in `03-01-03-01-01-01-01.wav`. The numbers of a
name are modality (01 both, 02 video without sound, 03 sound), channel (01 speech, 02 song), emotion, intensity,
statement, repetition and actor; actors with odd numbers are men. Song and videos without sound are skipped.

The six folds of four actors are those of HiCMAE (Sun et al. 2024, Information Fusion).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ..media.paths import Listing
from .corpus import FEMALE, GENDER, MALE, UNKNOWN, ClipFacts, Corpus, named_clips

EMOTIONS = dict(
    zip(
        ("01", "02", "03", "04", "05", "06", "07", "08"),
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
        strict=True,
    )
)
NAME = re.compile(r"(0[123])-(0[12])-((0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d))")
ACTORS = 24


def describe(listing: Listing) -> Iterator[tuple[Path, ClipFacts | str]]:
    """The clips of a folder."""
    return named_clips(listing, _clip)


def _clip(path: Path) -> ClipFacts | str:
    found = NAME.fullmatch(path.stem)
    if found is None or not 1 <= int(found[8]) <= ACTORS:
        return UNKNOWN
    modality, channel, key, emotion, intensity, statement, repetition, actor = found.groups()
    if channel == "02":
        return "song"
    if modality == "02":
        return "video without sound"
    more = {
        GENDER: MALE if int(actor) % 2 else FEMALE,
        "sentence": {"01": "kids", "02": "dogs"}[statement],
        "intensity": {"01": "normal", "02": "strong"}[intensity],
        "repetition": repetition,
    }
    return ClipFacts(key, EMOTIONS[emotion], actor, more)


RAVDESS = Corpus(
    name="ravdess",
    title="RAVDESS",
    clips=1440,
    emotions=tuple(EMOTIONS.values()),
    folds={
        str(number + 1): tuple(f"{4 * number + actor:02}" for actor in range(1, 5)) for number in range(ACTORS // 4)
    },
    protocol="6 folds of actors, Sun et al. 2024 (HiCMAE)",
    example="Actor_01/01-01-03-01-01-01-01.mp4",
    describe=describe,
    columns=(GENDER, "sentence", "intensity", "repetition"),
)

__all__ = ["RAVDESS"]
