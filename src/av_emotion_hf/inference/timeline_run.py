"""The timelines of several clips as files in a folder; what is done already is not done again."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..timeline.formats import FORMATS, write_timeline
from ..timeline.formats.documents import read_timeline
from ..timeline.report.index_page import ClipSummary, write_index, write_summary_csv
from ..timeline.report.page import write_report
from ..timeline.segment_files import READERS, read_segments
from ..timeline.table import Timeline
from ..utils import unwritable, writing
from .journal import Journal
from .timelines import Progress, TimelineMaker, no_progress

HTML, JSON = "html", "json"
OVERVIEW, SUMMARY = "index", "summary"  # names of the files about all clips


@dataclass(frozen=True)
class PlannedClip:
    """A clip and what its files are called.

    Attributes:
        path: of the clip.
        name: of its files, without a suffix, relative to the folder.
        segments: file of its segments; `None` for windows.
    """

    path: str
    name: str
    segments: str | None = None


@dataclass(frozen=True)
class WrittenTimeline:
    """What became of a clip.

    Attributes:
        path: of the clip.
        files: those that were written, by format.
        was_done: whether they were there already.
        is_empty: whether nothing was seen or heard in the clip.
    """

    path: str
    files: dict[str, str]
    was_done: bool = False
    is_empty: bool = False


def planned_clips(paths: Sequence[str], segments: str | None = None) -> list[PlannedClip]:
    """The clips with names of their own, and the files of their segments.

    A name is the clip's without suffix; of clips that would share it, with suffix, and with the folders below the one
    that all clips are in. Among several clips, one that is called as a file about all of them has its suffix, too.

    Args:
        paths: of the clips.
        segments: a file for the one clip, or a folder of files that are called as the clips are.

    Raises:
        InputError: there is one file for several clips, or a clip has none or several in the folder.
    """
    folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
    common = os.path.commonpath(folders)
    stems = [Path(path).stem for path in paths]
    names = []
    for path, folder, stem in zip(paths, folders, stems, strict=True):
        if stems.count(stem) > 1 or (len(paths) > 1 and stem in (OVERVIEW, SUMMARY)):
            below = os.path.relpath(folder, common)
            stem = Path(path).name if below == os.curdir else f"{below}/{Path(path).name}".replace(os.sep, "-")
        names.append(stem)
    if segments is None:
        return [PlannedClip(path, name) for path, name in zip(paths, names, strict=True)]
    if os.path.isdir(segments):
        return [PlannedClip(path, name, _segments_of(path, segments)) for path, name in zip(paths, names, strict=True)]
    if len(paths) > 1:
        raise InputError(
            f"--segments {segments}: is one file, and there are {len(paths)} clips; give a folder of files that are "
            "called as the clips are, such as interview.rttm for interview.mp4"
        )
    return [PlannedClip(paths[0], names[0], segments)]


def _segments_of(path: str, folder: str) -> str:
    stem = Path(path).stem
    found = sorted(str(one) for one in Path(folder).iterdir() if one.stem == stem and one.suffix.lower() in READERS)
    if len(found) != 1:
        raise InputError(
            f"--segments {folder}: has {len(found) or 'no'} files of segments called {stem}, and {path} needs one: "
            f"{stem} with one of {', '.join(READERS)}"
        )
    return found[0]


class TimelineRun:
    """Makes the timelines of clips and writes their files into a folder.

    A clip whose files are there, made of the same clip with the same model and settings, is skipped. A clip that was
    interrupted resumes: the windows that were scored are in a file beside the others, which is removed in the end.

    Args:
        maker: of timelines.
        out: the folder.
        formats: names of [`FORMATS`], and `html` for the report; `json` is always written.
        embed: whether a report holds its clip; else it plays the file where that is.
        overwrite: whether to replace files that were made with other settings.
    """

    def __init__(
        self,
        maker: TimelineMaker,
        out: str | Path,
        formats: Sequence[str] = (*FORMATS, HTML),
        embed: bool = False,
        overwrite: bool = False,
    ):
        self.maker, self.out = maker, Path(out)
        self.formats, self.embed, self.overwrite = check_formats(formats), embed, overwrite
        self.progress: Progress = no_progress  # called after each window

    def __call__(self, clip: PlannedClip, alive: Callable[[], None] = lambda: None) -> WrittenTimeline:
        """Write the files of one clip; `alive` is called after each window.

        Raises:
            InputError: the clip or its segments cannot be read, the files that are there were made otherwise, or a
                file cannot be written.
        """

        def go_on(seconds: float, duration: float) -> None:
            alive()
            self.progress(seconds, duration)

        if (done := self._done(clip)) is not None:
            return WrittenTimeline(clip.path, done, True, _is_empty(self.timeline_of(clip)))
        segments = None
        if clip.segments is not None:
            segments = read_segments(clip.segments)
        journal = Journal(self.out / f".{clip.name}.windows.jsonl", self._key(clip))
        self._check_targets(clip, is_resumed=journal.path.is_file())
        try:
            with journal:
                timeline = self.maker(
                    clip.path,
                    segments,
                    "" if clip.segments is None else os.path.basename(clip.segments),
                    go_on,
                    journal.known if segments is None else (),
                    journal.add if segments is None else lambda rows: None,
                )
            files = self.write(timeline, clip)
        except OSError as error:
            raise unwritable(self.out, error) from error
        journal.remove()
        return WrittenTimeline(clip.path, files, is_empty=_is_empty(timeline))

    def write(self, timeline: Timeline, clip: PlannedClip) -> dict[str, str]:
        """Write the files of a timeline; the one that says that it is done, `json`, comes last."""
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        files: dict[str, Path] = {}
        if HTML in self.formats:
            page = self.out / f"{clip.name}.html"
            files[HTML] = write_report(timeline, page, media=clip.path, embed=self.embed)
        others = [name for name in self.formats if name not in (HTML, JSON)]
        files |= write_timeline(timeline, self.out, clip.name, [*others, JSON])
        return {name: str(path) for name, path in files.items()}

    def timeline_of(self, clip: PlannedClip) -> Timeline:
        """The timeline of a clip that is done."""
        return read_timeline(self.out / f"{clip.name}.json")

    def write_overview(self, done: Sequence[PlannedClip], failures: dict[str, str]) -> Path:
        """Write the page of all clips, `index.html`, and the table behind it, `summary.csv`.

        Args:
            done: clips whose files are there.
            failures: why others have none, by path.
        """
        clips = []
        for clip in done:
            page = self.out / f"{clip.name}.html"
            clips.append(ClipSummary.of(self.timeline_of(clip), page if page.is_file() else None))
        clips += [ClipSummary.failed(path, error) for path, error in failures.items()]
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        write_summary_csv(clips, self.out / f"{SUMMARY}.csv")
        return write_index(clips, self.out / f"{OVERVIEW}.html")

    def _targets(self, clip: PlannedClip) -> dict[str, Path]:
        """The files of a clip by format, whether they are there or not."""
        suffixes = {name: one.suffix for name, one in FORMATS.items()} | {HTML: ".html"}
        return {name: self.out / f"{clip.name}{suffixes[name]}" for name in (*self.formats, JSON)}

    def _check_targets(self, clip: PlannedClip, is_resumed: bool) -> None:
        """Check that no file is replaced that somebody else has made.

        Raises:
            InputError: a file would take the place of the clip or of its segments, whatever `overwrite` says, or of
                another one that is there, while there is no timeline of the clip.
        """
        targets = list(self._targets(clip).values())
        sources = [path for path in (clip.path, clip.segments) if path is not None and os.path.exists(path)]
        for path in filter(os.path.exists, targets):
            if any(os.path.samefile(path, source) for source in sources):
                raise InputError(
                    f"{path}: is what this timeline is made of, and would be replaced; choose another --out"
                )
            if not (self.overwrite or is_resumed or self._targets(clip)[JSON].is_file()):
                raise InputError(f"{path}: is there already; choose another --out, or add --overwrite to replace it")

    def check_overview(self) -> None:
        """Check, before the work, that the files about all clips replace none but their own kind.

        Raises:
            InputError: another file has the name of one.
        """
        marks = {f"{OVERVIEW}.html": "Made by av_emotion_hf", f"{SUMMARY}.csv": "clip,person,duration,"}
        for name, mark in marks.items():
            path = self.out / name
            if path.is_file() and not self.overwrite and mark not in path.read_text("utf-8", errors="replace"):
                raise InputError(f"{path}: is there already; choose another --out, or add --overwrite to replace it")

    def _expected(self, clip: PlannedClip) -> dict[str, Any]:
        named = None if clip.segments is None else os.path.basename(clip.segments)
        return self.maker.settings | {"segments": named}

    def _key(self, clip: PlannedClip) -> str:
        """What has to be the same for a run to resume."""
        facts = os.stat(clip.path)
        key = [self._expected(clip), self.maker.model, facts.st_size, facts.st_mtime_ns]
        return json.dumps(key, sort_keys=True, default=str)

    def _done(self, clip: PlannedClip) -> dict[str, str] | None:
        """The files of a clip that is done; `None` if it is not.

        Raises:
            InputError: they were made with other settings.
        """
        paths = self._targets(clip)
        if not paths[JSON].is_file() or self.overwrite:
            return None
        try:
            found = read_timeline(paths[JSON])
        except InputError as error:
            raise InputError(f"{error}; or choose another --out, or add --overwrite") from error
        expected = json.loads(json.dumps(self._expected(clip)))
        if found.model != self.maker.model:
            was, wanted = (
                f"{one.get('name')} ({str(one.get('sha256'))[:12]})" for one in (found.model, self.maker.model)
            )
            raise InputError(f"{paths[JSON]}: was made with {was}, not {wanted}; choose another --out, or --overwrite")
        for name, value in expected.items():
            if found.settings.get(name) != value:
                raise InputError(
                    f"{paths[JSON]}: was made with {name} {found.settings.get(name)!r}, not {value!r}; "
                    "choose another --out, or add --overwrite"
                )
        written = paths[JSON].stat().st_mtime
        sources = [clip.path, *([clip.segments] if clip.segments else [])]
        if any(os.stat(one).st_mtime > written for one in sources) or not all(
            path.is_file() for path in paths.values()
        ):
            return None
        return {name: str(path) for name, path in paths.items()}


def _is_empty(timeline: Timeline) -> bool:
    return not any(row.scores for row in timeline.rows)


def check_formats(formats: Sequence[str]) -> list[str]:
    """Names of formats, each once.

    Raises:
        InputError: one does not exist.
    """
    known = (*FORMATS, HTML)
    for name in formats:
        if name not in known:
            raise InputError(f"format {name!r} is unknown; choose from {', '.join(known)}")
    return list(dict.fromkeys(formats))


__all__ = ["HTML", "PlannedClip", "TimelineRun", "WrittenTimeline", "check_formats", "planned_clips"]
