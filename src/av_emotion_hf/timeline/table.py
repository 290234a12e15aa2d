"""The timeline of a clip: a row for each person and window. Every file, report and figure is made of it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .segments import Segment, segments_of
from .summary import PersonSummary, summary_of

VOICE = "voice"  # what a tier or lane of the rows without a person is called
MODALITIES = ("audio", "image")


@dataclass(frozen=True)
class TimelineRow:
    """One person in one window of a clip. What was not seen or heard is `None` or missing, never 0.

    Attributes:
        start: seconds from the start of the clip to that of the window.
        end: seconds to its end.
        person: such as `person-1`, `channel-2`, or the tier of a given segment; `None` for the voice alone, where
            nobody is seen.
        emotion: the most probable class, `uncertain` where its probability is below that at which the timeline
            abstains; `None` where nothing is seen or heard.
        confidence: probability of the most probable class, from 0 to 1; `None` with the emotion.
        scores: probability of each class in the order of the model's; empty where nothing is seen or heard.
        face_coverage: fraction of the frames that show the person's face; `None` without video.
        voice_coverage: fraction of the time in which somebody's voice is heard; `None` without audio.
        shares: how much of the decision comes from `audio` and from `image`; what was not used is missing.
        loudness: level of the audio in dB relative to full scale; `None` without audio, and in digital silence.
        pitch: median fundamental frequency of the voiced frames in Hz; `None` where there are none.
        num_persons: how many persons are seen in the window; `None` without video.
        text: annotation of a given segment; `None` of a window.
    """

    start: float
    end: float
    person: str | None = None
    emotion: str | None = None
    confidence: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    face_coverage: float | None = None
    voice_coverage: float | None = None
    shares: dict[str, float] = field(default_factory=dict)
    loudness: float | None = None
    pitch: float | None = None
    num_persons: int | None = None
    text: str | None = None

    @property
    def center(self) -> float:
        """Seconds from the start of the clip to the middle of the window."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class FacePicture:
    """A face crop for the contact sheet of a person.

    Attributes:
        time: seconds from the start of the clip.
        jpeg: content of the image.
    """

    time: float
    jpeg: bytes


@dataclass
class Timeline:
    """The emotions in a clip over time.

    Attributes:
        clip: path of the clip, as given.
        duration: seconds.
        labels: the classes, in the order of the model's.
        rows: sorted by start, then in the order in which persons appear; scores are smoothed as `settings` say.
        settings: how it was made, as JSON values: `window`, `hop`, `smoothing` in seconds, `abstain`, `hysteresis`,
            `fps`, `detector`, `person`, `channels`, and the file of `segments`.
        model: `name` and `sha256` of the checkpoint.
        has_audio: whether the clip has an audio track.
        has_video: whether it has a video track that was looked at.
        pictures: for each person, faces for a contact sheet, in the order of time.
    """

    clip: str
    duration: float
    labels: tuple[str, ...]
    rows: list[TimelineRow]
    settings: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    has_audio: bool = True
    has_video: bool = True
    pictures: dict[str, list[FacePicture]] = field(default_factory=dict)

    @cached_property
    def persons(self) -> list[str | None]:
        """The persons in the order in which they appear, `None` (the voice of nobody who is seen) last."""
        names = dict.fromkeys(row.person for row in self.rows)
        return sorted(names, key=lambda name: name is None)

    def of(self, person: str | None) -> list[TimelineRow]:
        """The rows of one person, by name; of `None` those in which nobody is seen."""
        return [row for row in self.rows if row.person == person]

    @cached_property
    def segments(self) -> list[Segment]:
        """Stretches of one emotion, of each person in turn, see [`segments_of`]; given segments stay as they are."""
        given = self.settings.get("segments") is not None
        hysteresis = self.settings.get("hysteresis", 0.0)
        abstain = self.settings.get("abstain", 0.0)
        return [
            segment
            for person in self.persons
            for segment in segments_of(self.of(person), abstain=abstain, hysteresis=hysteresis, given=given)
        ]

    @cached_property
    def summary(self) -> list[PersonSummary]:
        """A summary of each person."""
        return [summary_of(self.of(person), self.segments, self.labels) for person in self.persons]

    def columns(self) -> dict[str, list]:
        """The rows as a tidy table, columns by name; `None` in a cell is what was not seen or heard."""
        table: dict[str, list] = {
            name: [getattr(row, name) for row in self.rows]
            for name in ("start", "end", "person", "emotion", "confidence")
        }
        table |= {f"score_{label}": [row.scores.get(label) for row in self.rows] for label in self.labels}
        table |= {name: [getattr(row, name) for row in self.rows] for name in ("face_coverage", "voice_coverage")}
        table |= {f"share_{name}": [row.shares.get(name) for row in self.rows] for name in MODALITIES}
        names = ("loudness", "pitch", "num_persons", *(("text",) if any(row.text for row in self.rows) else ()))
        return table | {name: [getattr(row, name) for row in self.rows] for name in names}

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`."""
        import pandas

        return pandas.DataFrame(self.columns())

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows as a table in CSV; an empty cell is what was not seen or heard. Returns the path."""
        return self._write("csv", path)

    def to_parquet(self, path: str | Path) -> Path:
        """Write the rows as a table in Parquet; null is what was not seen or heard. Returns the path."""
        return self._write("parquet", path)

    def to_json(self, path: str | Path) -> Path:
        """Write all but the pictures as JSON, which [`Timeline.from_json`] reads. Returns the path."""
        return self._write("json", path)

    def to_vtt(self, path: str | Path) -> Path:
        """Write the segments as subtitles in WebVTT, where persons are voices. Returns the path."""
        return self._write("vtt", path)

    def to_srt(self, path: str | Path) -> Path:
        """Write the segments as subtitles in SubRip. Returns the path."""
        return self._write("srt", path)

    def to_eaf(self, path: str | Path) -> Path:
        """Write the segments for ELAN, a tier for each person. Returns the path."""
        return self._write("eaf", path)

    def to_textgrid(self, path: str | Path) -> Path:
        """Write the segments for Praat, an interval tier for each person. Returns the path."""
        return self._write("textgrid", path)

    def to_rttm(self, path: str | Path) -> Path:
        """Write the segments as RTTM, as tools of diarization read it. Returns the path."""
        return self._write("rttm", path)

    def to_audacity(self, path: str | Path) -> Path:
        """Write the segments as labels of Audacity. Returns the path."""
        return self._write("audacity", path)

    def _write(self, name: str, path: str | Path) -> Path:
        from .formats import FORMATS

        return FORMATS[name].write(self, path)

    @classmethod
    def from_json(cls, path: str | Path) -> "Timeline":
        """The timeline that [`Timeline.to_json`] wrote, without its pictures.

        Raises:
            InputError: the file is damaged, something else, or of a newer version of this package.
        """
        from .formats.documents import read_timeline

        return read_timeline(path)

    def to_html(self, path: str | Path, media: str | Path | None = None, embed: bool = False) -> Path:
        """Write the report of the clip as one HTML file, see [`write_report`]."""
        from .report.page import write_report

        return write_report(self, path, media, embed)

    def plot(self, path: str | Path) -> Path:
        """Draw the figure of the clip for papers as PNG, PDF or SVG, see [`plot_timeline`]."""
        from .figure import plot_timeline

        return plot_timeline(self, path)


def lane_name(person: str | None) -> str:
    """What a tier or lane is called: the person, or `voice` where nobody is seen."""
    return VOICE if person is None else person


__all__ = ["MODALITIES", "VOICE", "FacePicture", "Timeline", "TimelineRow", "lane_name"]
