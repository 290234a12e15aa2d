"""CREMA-D (Cao et al. 2014, IEEE Transactions on Affective Computing): 91 actors, 12 sentences, 6 emotions.

7,442 clips: `VideoFlash/1001_DFA_ANG_XX.flv` with their sound in `AudioWAV/1001_DFA_ANG_XX.wav` and `AudioMP3`. A name
is actor, sentence, intended emotion and level, which is XX where none was asked for; `1040_ITH_SAD_X` lacks a letter.
The label is the intended emotion, not the one that raters saw. `VideoDemographics.csv` tells the gender.

The five folds are those of HiCMAE (Sun et al. 2024, Information Fusion), 18 or 19 actors each. HiCMAE scores 7,437
clips: it leaves out five, among them 1076_MTI_SAD_XX, whose sound is empty.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from ..media.paths import Listing
from .corpus import GENDER, UNKNOWN, ClipFacts, Corpus, named_clips

EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
SENTENCES = "DFA|IEO|IOM|ITH|ITS|IWL|IWW|MTI|TAI|TIE|TSI|WSI"
NAME = re.compile(rf"(10\d\d)_({SENTENCES})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX?)")
DEMOGRAPHICS = "VideoDemographics.csv"
FIRST, LAST = 1001, 1091
STARTS = (1001, 1019, 1037, 1055, 1073, LAST + 1)  # of the folds


def describe(listing: Listing) -> Iterator[tuple[Path, ClipFacts | str]]:
    """The clips of a folder, with the gender of each actor where the table of it is there."""
    genders: dict[str, str] = {}
    for path in listing.files:
        if path.name == DEMOGRAPHICS:
            with path.open(encoding="utf-8", newline="") as file:
                genders |= {row["ActorID"]: row["Sex"].lower() for row in csv.DictReader(file)}

    def clip(path: Path) -> ClipFacts | str:
        found = NAME.fullmatch(path.stem)
        if found is None or not FIRST <= int(found[1]) <= LAST:
            return UNKNOWN
        actor, sentence, emotion, level = found.groups()
        more = {GENDER: genders.get(actor), "sentence": sentence, "level": level.ljust(2, "X")}
        return ClipFacts(path.stem, EMOTIONS[emotion], actor, more)

    return named_clips(listing, clip)


CREMA_D = Corpus(
    name="crema-d",
    title="CREMA-D",
    clips=7442,
    emotions=tuple(sorted(EMOTIONS.values())),
    folds={
        str(number): tuple(str(actor) for actor in range(STARTS[number - 1], STARTS[number])) for number in range(1, 6)
    },
    protocol="5 folds of actors, Sun et al. 2024 (HiCMAE)",
    example="AudioWAV/1001_DFA_ANG_XX.wav or VideoFlash/1001_DFA_ANG_XX.flv",
    describe=describe,
    columns=(GENDER, "sentence", "level"),
    tables=(DEMOGRAPHICS,),
)

__all__ = ["CREMA_D"]
