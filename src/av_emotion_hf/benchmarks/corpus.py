"""A corpus whose published file names say what is in a clip."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Value

from ..data.folder import cached_table
from ..data.schema import CLIP, FILE
from ..errors import InputError
from ..media.paths import MEDIA_SUFFIXES, VIDEO_SUFFIXES, Listing, list_files

logger = logging.getLogger(__name__)

EMOTION, SPEAKER, GENDER = "emotion", "speaker", "gender"
FEMALE, MALE = "female", "male"
UNKNOWN = "a name that the corpus does not have"  # why a file is skipped
MODALITIES = ("audio", "image", "fusion")


@dataclass(frozen=True)
class ClipFacts:
    """What the name of a file says of a clip.

    Attributes:
        key: the same for all files of one clip, such as its sound apart from its video.
        emotion: one of those of the corpus.
        speaker: who speaks.
        more: cells of the other columns of the corpus.
    """

    key: str
    emotion: str
    speaker: str
    more: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """A corpus as it is published.

    Attributes:
        name: as on the command line.
        title: as in its paper.
        clips: how many it has.
        emotions: its classes, in the words of this package.
        folds: by name of a fold the groups that it tests.
        protocol: who published these folds.
        example: path of a clip below the root.
        describe: from the files below a root each clip with what its name says, or with the reason to skip it.
        columns: further columns beside `file`, `clip`, `emotion` and `speaker`.
        tables: names of the files that `describe` reads.
        group_column: of the groups in `folds`.
        train: groups that no fold tests and no fold validates on.
        validation: groups of validation where these are published as well; else drawn from the training groups.
        is_speaker_disjoint: whether no tested speaker is trained on.
    """

    name: str
    title: str
    clips: int
    emotions: tuple[str, ...]
    folds: dict[str, tuple[str, ...]]
    protocol: str
    example: str
    describe: Callable[[Listing], Iterator[tuple[Path, ClipFacts | str]]]
    columns: tuple[str, ...] = (GENDER,)
    tables: tuple[str, ...] = ()
    group_column: str = SPEAKER
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    is_speaker_disjoint: bool = True

    @property
    def groups(self) -> list[str]:
        """All groups, in the order of the folds."""
        return [*self.train, *self.validation, *(group for groups in self.folds.values() for group in groups)]

    def read(self, root: str | Path, modality: str | None = None) -> Dataset:
        """The clips below a folder. What is skipped, and what is missing, is logged with its number and names.

        Args:
            root: the folder.
            modality: `audio` takes the sound of a clip where that has a file of its own, `image` and `fusion` take
                videos alone; by default videos where there is one, else sound.

        Returns:
            A row per clip, in the order of their paths: `file`, `clip` (the path below the root), `emotion`
            ([`ClassLabel`]), `speaker`, and `columns`, as text.

        Raises:
            InputError: the folder does not exist, or it has no clip of the corpus, or no video where these are asked
                for.
        """
        if modality not in (None, *MODALITIES):
            raise InputError(f"modality {modality!r} is not one of {', '.join(MODALITIES)}")
        folder = Path(root).expanduser()
        if not folder.is_dir():
            raise InputError(f"{root}: there is no such folder; give the one that holds {self.title} ({self.example})")
        listing = list_files(folder)
        others = [path for path in listing.files if path.suffix.lower() not in MEDIA_SUFFIXES]
        listing.skip("no clip by its suffix", [path for path in others if path.name not in self.tables])
        found: dict[str, dict[Path, ClipFacts]] = {}
        for path, facts in self.describe(listing):
            if isinstance(facts, str):
                listing.skip(facts, [path])
            else:
                found.setdefault(facts.key, {})[path] = facts
        chosen = self._choose(listing, found, modality)
        listing.report()
        if not chosen:
            raise InputError(f"{root}: has no clip of {self.title}; its files are called like {self.example}")
        self._report_missing(folder, list(chosen.values()))
        return self._table(listing, chosen)

    def _choose(
        self, listing: Listing, found: dict[str, dict[Path, ClipFacts]], modality: str | None
    ) -> dict[Path, ClipFacts]:
        """One file of each clip."""
        has_video = any(_is_video(path) for files in found.values() for path in files)
        if found and modality in ("image", "fusion") and not has_video:
            raise InputError(
                f"{listing.folder}: has no video of {self.title}, and --modality {modality} needs the face; "
                "use --modality audio"
            )
        chosen, copies, faceless = {}, [], []
        for files in found.values():
            videos = [path for path in files if _is_video(path)]
            # a stable order: of several sounds the uncompressed one
            sounds = sorted((path for path in files if path not in videos), key=lambda path: path.suffix != ".wav")
            candidates = [*sounds, *videos] if modality == "audio" or not has_video else videos
            if candidates:
                chosen[candidates[0]] = files[candidates[0]]
                copies += [path for path in files if path != candidates[0]]
            else:
                faceless += sounds
        listing.skip("another file of the same clip is used", copies)
        listing.skip("sound of a clip whose video is missing", faceless)
        return dict(sorted(chosen.items(), key=lambda item: item[0].parts))

    def _report_missing(self, folder: Path, clips: list[ClipFacts]) -> None:
        if len(clips) >= self.clips:
            return
        present = Counter(self.group_of(clip) for clip in clips)
        missing = [group for group in self.groups if group not in present]
        nothing = f"; nothing of {self.group_column} {', '.join(missing[:5])}" if missing else ""
        nothing += f" and {len(missing) - 5} more" if missing[5:] else ""
        logger.warning(
            "%s: %d of the %d clips of %s are there%s: the scores are not comparable with published ones",
            *(folder, len(clips), self.clips, self.title, nothing),
        )

    def group_of(self, clip: ClipFacts) -> str | None:
        """The group of a clip."""
        return clip.speaker if self.group_column == SPEAKER else clip.more[self.group_column]

    def _table(self, listing: Listing, chosen: dict[Path, ClipFacts]) -> Dataset:
        features = Features(
            {FILE: Value("string"), CLIP: Value("string"), EMOTION: ClassLabel(names=list(self.emotions))}
            | dict.fromkeys((SPEAKER, *self.columns), Value("string"))
        )
        clips = list(chosen.values())
        cells = {
            FILE: [str(path) for path in chosen],
            CLIP: [listing.name(path) for path in chosen],
            EMOTION: [self.emotions.index(clip.emotion) for clip in clips],
            SPEAKER: [clip.speaker for clip in clips],
        } | {column: [clip.more.get(column) for clip in clips] for column in self.columns}
        return cached_table(pa.table(cells, schema=features.arrow_schema), list(chosen), "train")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def named_clips(
    listing: Listing, describe: Callable[[Path], ClipFacts | str]
) -> Iterator[tuple[Path, ClipFacts | str]]:
    """Each clip of a listing with what `describe` says of it."""
    for path in listing.having(MEDIA_SUFFIXES):
        yield path, describe(path)


__all__ = ["MODALITIES", "UNKNOWN", "ClipFacts", "Corpus", "named_clips"]
