"""A stream of audio and frames to the emotions in it, while it goes on."""

import logging
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..media.faces import FaceChoice
from ..media.live_audio import LiveAudio
from ..media.live_faces import LiveFaces
from ..models.persons_av_emotion import ALL, LARGEST
from ..models.waveforms_av_emotion import audible
from ..models.windows_av_emotion import ClipInputs
from ..timeline.smoothing import smoothed
from ..timeline.table import Timeline, TimelineRow
from .predictor import EmotionPredictor
from .timelines import ABSTAIN, SMOOTHING, WINDOW, TimelineMaker

logger = logging.getLogger(__name__)

HOP = 1.0  # seconds
KEEP = 3600.0  # seconds
LAG = 2.0  # seconds by which audio or video may be behind the other one before it is not waited for
MEASURED = 1000  # windows, the last ones, whose latency is known
NEAR = 1e-6  # seconds: rounding of times


@dataclass(frozen=True)
class StreamLatency:
    """How long rows take, of the last windows of a stream.

    Attributes:
        windows: how many were measured.
        median: seconds on the clock from the call that brought the end of a window to its rows; `None` before the
            first.
        p95: 95 % of the windows take no longer.
        load: seconds of computing for each second of the stream; from 1 on the machine does not keep up.
    """

    windows: int
    median: float | None
    p95: float | None
    load: float | None


class EmotionStream:
    """Recognizes emotions live: takes audio and frames as they come, and returns the rows of windows as they end.

    The rows are those that a file of the same content has. Frames are held for about a second, until no later one can
    change who is seen in them; rows of windows with video are that late. Once both have come, audio and video wait for
    each other, for two seconds at most: then silence takes the place of audio, or nobody is seen.

    Args:
        predictor: what predicts, with its detector, frames per second, device and baseline; by default
            `EmotionPredictor()`.
        window: seconds of a window.
        hop: seconds from the start of a window to that of the next one.
        abstain: lowest probability of an emotion that is named; below it the answer is `uncertain`.
        smoothing: seconds over which scores are averaged, see [`smoothed`]: of the rows that are returned over the
            past, of the [`timeline`] also over what followed.
        person: `all` for a row for each person who is seen, or `largest`.
        keep: seconds of rows that the [`timeline`] holds; older ones are forgotten. What else is in memory does not
            depend on how long the stream is.

    Attributes:
        late_frames: frames that came after the rows of their time were given; only later rows know of them.

    Raises:
        InputError: a setting cannot be used.

    Example:
    ```python
    >>> from av_emotion_hf import EmotionStream

    >>> stream = EmotionStream()  # doctest: +SKIP
    >>> for samples, frames in source:  # doctest: +SKIP
    ...     for row in stream.push(audio=(samples, 44_100), frames=frames):
    ...         print(row.start, row.person, row.emotion)
    ```
    """

    def __init__(
        self,
        predictor: EmotionPredictor | None = None,
        window: float = WINDOW,
        hop: float = HOP,
        abstain: float = ABSTAIN,
        smoothing: float = SMOOTHING,
        person: str = ALL,
        keep: float = KEEP,
    ):
        if person not in (ALL, LARGEST):
            raise InputError(f"person={person!r}: of a stream there are {ALL} and {LARGEST}; choose one of them")
        if isinstance(keep, bool) or not isinstance(keep, int | float) or not keep > 0:
            raise InputError(f"keep={keep!r}: has to be a positive number of seconds; use {KEEP:g}, for instance")
        self.predictor = predictor or EmotionPredictor()
        self._maker = TimelineMaker(self.predictor, person, window, hop, smoothing, abstain, pictures=False)
        self.keep = float(keep)
        self.late_frames = 0
        reader = self._maker.reader(self._maker.person)
        self._crop_size = reader.options.crop_size
        self._audio = LiveAudio() if reader.modality != "image" else None
        self._faces = self._choice = None
        if reader.modality != "audio":
            detector = reader.load()
            self._faces = LiveFaces(reader.options.fps, detector, self._crop_size)
            self._choice = FaceChoice(self._maker.person, self._crop_size, detector.name)
        self._number = 0  # of the next window
        self._end = 0.0  # seconds up to which there are rows
        self._rows: deque[TimelineRow] = deque()
        self._brought = deque([(0.0, 0.0)])  # seconds of the stream, and when they had come
        self._waits: deque[float] = deque(maxlen=MEASURED)
        self._busy = 0.0  # seconds of computing
        self._missed: set[str] = set()  # of audio and video, what was too late once
        self._is_finished = False

    def push(self, audio: Any = None, frames: Iterable[Any] = ()) -> list[TimelineRow]:
        """Take what has come since the last call; audio and frames of the same time belong into the same call.

        Times are seconds since the start of the stream. Nothing is taken where an argument is refused.

        Args:
            audio: samples and their sampling rate: floats with full scale 1, int16, int32 or uint8, `(n,)`, `(n, C)`
                or `(C, n)`, any number of them. They follow those before, unless the time of the first one is added as
                a third: what lies in between is silence.
            frames: pairs of the time and a picture: RGB, `(H, W, 3)` uint8 or whatever else the pipeline accepts.
                There may be more than are looked at (`fps` of the predictor), and their times need not be regular.

        Returns:
            The rows of the windows that are complete now, with scores averaged over those before.

        Raises:
            InputError: samples, rate, a picture or a time cannot be used, a time goes back, or the stream is finished.
        """
        self._require_open()
        now = time.perf_counter()
        chunk = self._audio.check(audio) if self._audio is not None and audio is not None else None
        pictures = self._faces.check(frames) if self._faces is not None and frames is not None else []
        with self.predictor.choice.limited_threads():
            if self._audio is not None and chunk is not None:
                self._audio.add(chunk)
            if self._faces is not None and pictures:
                self.late_frames += sum(seconds < self._end - NEAR for seconds, _ in pictures)
                self._faces.add(pictures)
            self._go_on()
            if self._given > self._brought[-1][0]:
                self._brought.append((self._given, now))
            rows = self._rows_until(self._known)
        self._busy += time.perf_counter() - now
        return rows

    def finish(self) -> list[TimelineRow]:
        """The rows of what remains: the stream ends here.

        The last window ends with the stream. It lasts at least half a window, unless the stream is shorter than that.
        """
        self._require_open()
        now = time.perf_counter()
        self._is_finished = True
        with self.predictor.choice.limited_threads():
            if self._audio is not None:
                self._audio.finish()
            if self._faces is not None:
                self._faces.flush()
            end = max([part.end for part in (self._audio, self._faces) if part is not None])
            self._brought.append((end, now))
            rows = self._rows_until(end)
            if end > self._end + NEAR:
                start = max(0.0, min(self._number * self._maker.hop, end - self._maker.window / 2))
                rows += self._rows_of(start, end, is_last=True)
        self._busy += time.perf_counter() - now
        return rows

    def timeline(self, name: str = "stream") -> Timeline:
        """The timeline so far, with scores that are averaged over both sides, of the last `keep` seconds.

        Args:
            name: what it calls the clip.
        """
        audio, faces = self._audio, self._faces
        return Timeline(
            clip=name,
            duration=round(max([0.0, *(part.given for part in (audio, faces) if part is not None)]), 3),
            labels=tuple(self._maker.labels),
            rows=self._maker.finished(list(self._rows)),
            settings=self._maker.settings,
            model=self._maker.model,
            has_audio=audio is not None and audio.is_given,
            has_video=faces is not None and faces.is_given,
        )

    @property
    def late_audio(self) -> float:
        """Seconds of audio that came after silence had taken their place; they are not heard."""
        return self._audio.late if self._audio is not None else 0.0

    @property
    def latency(self) -> StreamLatency:
        """How long rows take, and whether the machine keeps up."""
        waits = np.array(self._waits)
        given = max(self._given, self._end)
        return StreamLatency(
            windows=len(waits),
            median=float(np.median(waits)) if len(waits) else None,
            p95=float(np.quantile(waits, 0.95)) if len(waits) else None,
            load=self._busy / given if given > 0 else None,
        )

    def _require_open(self) -> None:
        if self._is_finished:
            raise InputError("the stream is finished; make another EmotionStream for what follows")

    @property
    def _given(self) -> float:
        """Seconds up to which everything has come that comes at all."""
        audio, faces = self._audio, self._faces
        ends = [audio.given] if audio is not None and audio.is_given else []
        ends += [faces.shown] if faces is not None and faces.is_given else []
        return min(ends, default=0.0)

    @property
    def _known(self) -> float:
        """Seconds up to which windows can be cut."""
        parts = (self._audio, self._faces)
        return min((part.end for part in parts if part is not None and part.is_given), default=0.0)

    def _go_on(self) -> None:
        """Do without what is too far behind: silence for audio, no face for video."""
        if self._audio is None or self._faces is None or not (self._audio.is_given and self._faces.is_given):
            return
        until = max(self._audio.given, self._faces.given) - LAG
        if self._audio.given < until:
            self._say_once("audio", self._audio.given, "silence is in its place")
            self._audio.fill_until(until)
        if self._faces.given < until and self._faces.end < until:
            self._say_once("video", self._faces.given, "nobody is seen there")
            self._faces.flush(until)

    def _say_once(self, what: str, seconds: float, then: str) -> None:
        """Log that audio or video does not come; not at each call."""
        if what not in self._missed:
            self._missed.add(what)
            logger.warning("%s does not come after %.1f s, %g s behind the other one: %s", what, seconds, LAG, then)

    def _rows_until(self, known: float) -> list[TimelineRow]:
        rows: list[TimelineRow] = []
        while (start := self._number * self._maker.hop) + self._maker.window <= known + NEAR:
            rows += self._rows_of(start, start + self._maker.window)
        return rows

    def _rows_of(self, start: float, end: float, is_last: bool = False) -> list[TimelineRow]:
        """The rows of the next window."""
        window = self._cut(start, end, is_last)
        has_audio = self._audio is not None and self._audio.is_given
        has_video = self._faces is not None and self._faces.is_given
        raw = next(self._maker.rows_of([window], self._maker.person, has_audio, has_video))
        self._number, self._end = self._number + 1, end
        following = self._number * self._maker.hop
        for part in (self._audio, self._faces):
            if part is not None and not is_last:
                part.drop_before(min(following, end - self._maker.window / 2))  # which `finish` may need
        self._rows += raw
        while self._rows[0].end < end - self.keep:
            self._rows.popleft()
        self._measure(end)
        return [self._smoothed(row) for row in raw]

    def _cut(self, start: float, end: float, is_last: bool) -> ClipInputs:
        """What is heard and seen from `start` to `end`, in seconds."""
        waveform = np.zeros(0, np.float32) if self._audio is None else self._audio.cut(start, end)
        crops, times = np.zeros((0, self._crop_size, self._crop_size, 3), np.uint8), np.zeros(0)
        persons: tuple[str, ...] = ()
        num_frames, detector = 0, None
        if self._faces is not None and self._choice is not None and self._faces.is_given:
            frames = self._faces.cut(start, np.inf if is_last else end)
            face = self._choice.of_window(frames, start)
            crops, times, persons = face.crops, face.timestamps - start, tuple(face.persons)
            num_frames, detector = face.num_frames, face.detector
        return ClipInputs(
            audible(waveform), crops, times, num_frames, start, end - start, detector=detector, persons=persons
        )

    def _smoothed(self, row: TimelineRow) -> TimelineRow:
        """A row with scores averaged over those before it."""
        reach = row.center - self._maker.smoothing
        own = [one for one in self._rows if one.person == row.person and one.center >= reach]
        return self._maker.answered(smoothed(own, self._maker.smoothing)[-1])

    def _measure(self, end: float) -> None:
        """Note how long the rows of a window took that ends at `end`."""
        while len(self._brought) > 1 and self._brought[0][0] < end - NEAR:
            self._brought.popleft()
        self._waits.append(time.perf_counter() - self._brought[0][1])


__all__ = ["EmotionStream", "StreamLatency"]
