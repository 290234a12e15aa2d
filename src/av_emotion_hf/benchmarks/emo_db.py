"""EMO-DB (Burkhardt et al. 2005, Interspeech): ten actors, ten German sentences, 7 emotions; voices alone.

535 clips: `wav/03a01Fa.wav`. A name is actor, sentence, the first letter of the German word for the emotion, and take.

Leave one speaker out, ten folds, as in Schuller et al. 2009 (ASRU).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ..media.paths import Listing
from .corpus import FEMALE, GENDER, MALE, UNKNOWN, ClipFacts, Corpus, named_clips

EMOTIONS = {
    "W": "angry",  # Wut, Ärger
    "L": "bored",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fearful",  # Angst
    "F": "happy",  # Freude
    "N": "neutral",
    "T": "sad",  # Trauer
}
MEN = ("03", "10", "11", "12", "15")
WOMEN = ("08", "09", "13", "14", "16")
NAME = re.compile(rf"({'|'.join(MEN + WOMEN)})([ab]\d\d)([WLEAFNT])([a-z])")


def describe(listing: Listing) -> Iterator[tuple[Path, ClipFacts | str]]:
    """The clips of a folder."""
    return named_clips(listing, _clip)


def _clip(path: Path) -> ClipFacts | str:
    found = NAME.fullmatch(path.stem)
    if found is None:
        return UNKNOWN
    speaker, sentence, emotion, _ = found.groups()
    more: dict[str, str | None] = {GENDER: MALE if speaker in MEN else FEMALE, "sentence": sentence}
    return ClipFacts(path.stem, EMOTIONS[emotion], speaker, more)


EMO_DB = Corpus(
    name="emo-db",
    title="EMO-DB",
    clips=535,
    emotions=tuple(EMOTIONS.values()),
    folds={speaker: (speaker,) for speaker in sorted(MEN + WOMEN)},
    protocol="leave one speaker out, Schuller et al. 2009",
    example="wav/03a01Fa.wav",
    describe=describe,
    columns=(GENDER, "sentence"),
)

__all__ = ["EMO_DB"]
