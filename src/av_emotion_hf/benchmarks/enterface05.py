"""eNTERFACE'05 (Martin et al. 2006, ICDE Workshops): 43 subjects, 6 emotions, 5 sentences each.

1,287 clips: `subject 1/anger/sentence 1/s1_an_1.avi`. The folders are what counts, since file names are not reliable:
those of subject 11 begin with `s12`, some of subject 3 with `s_3`, one is `s16_su_3avi.avi`, and sentences of subject
2 are exchanged. Folders may have `_` or `-` for the blank. Subject 23 has two clips of happiness. Subject 6, one
recording per emotion without folders of sentences, is skipped, as in published work. The gender is not published.

The five folds are those of MAE-DFER (Sun et al. 2023, ACM Multimedia): nine subjects each, seven in the last one.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ..media.paths import Listing
from .corpus import UNKNOWN, ClipFacts, Corpus, named_clips

EMOTIONS = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}
FOLDERS = re.compile(rf"subject[ _-](\d+)/({'|'.join(EMOTIONS)})(?:/sentence[ _-]?(\d))?/[^/]+", flags=re.IGNORECASE)
SUBJECTS = 44
UNCUT = "6"
ENDS = (0, 10, 19, 28, 37, SUBJECTS)  # the last subject of each fold


def describe(listing: Listing) -> Iterator[tuple[Path, ClipFacts | str]]:
    """The clips of a folder."""
    return named_clips(listing, _clip)


def _clip(path: Path) -> ClipFacts | str:
    found = FOLDERS.fullmatch("/".join(path.parts[-4:])) or FOLDERS.fullmatch("/".join(path.parts[-3:]))
    if found is None or not 1 <= int(found[1]) <= SUBJECTS:
        return UNKNOWN
    subject, emotion, sentence = str(int(found[1])), found[2].lower(), found[3]
    if subject == UNCUT:
        return "subject 6, who is not cut into sentences"
    if sentence is None:
        return UNKNOWN
    return ClipFacts(f"{subject}/{emotion}/{sentence}", EMOTIONS[emotion], subject, {"sentence": sentence})


ENTERFACE05 = Corpus(
    name="enterface05",
    title="eNTERFACE'05",
    clips=1287,
    emotions=tuple(EMOTIONS.values()),
    folds={
        str(number): tuple(
            str(subject) for subject in range(ENDS[number - 1] + 1, ENDS[number] + 1) if str(subject) != UNCUT
        )
        for number in range(1, 6)
    },
    protocol="5 folds of subjects, Sun et al. 2023 (MAE-DFER)",
    example="subject 1/anger/sentence 1/s1_an_1.avi",
    describe=describe,
    columns=("sentence",),
)

__all__ = ["ENTERFACE05"]
