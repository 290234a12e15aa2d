"""SAVEE (Haq and Jackson 2009, AVSP): four men, 7 emotions.

480 clips: `AudioVisualClip/DC/a1.avi` with their sound in `AudioData/DC/a01.wav`, numbers with or without a zero; also
`DC_a01.wav` in one folder. Letters are a, d, f, h, n, sa and su with 15 sentences each, n with 30.

Leave one speaker out, four folds, as in Haq and Jackson 2009.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ..media.paths import Listing
from .corpus import GENDER, MALE, UNKNOWN, ClipFacts, Corpus, named_clips

EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
SPEAKERS = ("DC", "JE", "JK", "KL")
NAME = re.compile(rf"({'|'.join(SPEAKERS)})[/_](a|d|f|h|n|sa|su)(\d\d?)")


def describe(listing: Listing) -> Iterator[tuple[Path, ClipFacts | str]]:
    """The clips of a folder."""
    return named_clips(listing, _clip)


def _clip(path: Path) -> ClipFacts | str:
    found = NAME.fullmatch(path.stem) or NAME.fullmatch(f"{path.parent.name}/{path.stem}")
    if found is None or not 1 <= int(found[3]) <= (30 if found[2] == "n" else 15):
        return UNKNOWN
    speaker, letter, sentence = found[1], found[2], str(int(found[3]))
    more: dict[str, str | None] = {GENDER: MALE, "sentence": sentence}
    return ClipFacts(f"{speaker}/{letter}{sentence}", EMOTIONS[letter], speaker, more)


SAVEE = Corpus(
    name="savee",
    title="SAVEE",
    clips=480,
    emotions=tuple(EMOTIONS.values()),
    folds={speaker: (speaker,) for speaker in SPEAKERS},
    protocol="leave one speaker out, Haq and Jackson 2009",
    example="AudioVisualClip/DC/a1.avi or AudioData/DC/a01.wav",
    describe=describe,
    columns=(GENDER, "sentence"),
)

__all__ = ["SAVEE"]
