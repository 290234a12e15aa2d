"""Stretches of a clip that is read forward, cut out of its consecutive chunks in memory that does not grow with it."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..models.waveforms_av_emotion import audible
from ..models.windows_av_emotion import READER_RATE, ClipInputs, concatenate

NEAR = 1e-6  # seconds: rounding of times


class Chunks:
    """The chunks of a clip, of which those that are still needed are held.

    Args:
        chunks: consecutive pieces of a clip from its start, of any length.
    """

    def __init__(self, chunks: Iterable[ClipInputs]):
        self._chunks, self._held = iter(chunks), deque[ClipInputs]()
        self.end = 0.0
        self.is_over = False

    def read_until(self, time: float) -> None:
        """Read on until a time in seconds, or the end of the clip."""
        while self.end < time - NEAR and not self.is_over:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.is_over = True
            else:
                self.end = chunk.start + chunk.duration
                self._held.append(chunk)

    def drop_before(self, time: float) -> None:
        """Forget what ends before a time; the last chunk stays, as it says what kind of clip it is."""
        while len(self._held) > 1 and self._held[0].start + self._held[0].duration <= time + NEAR:
            self._held.popleft()

    def cut(self, start: float, end: float) -> ClipInputs:
        """The stretch from `start` to `end` in seconds, as far as the clip has it; `read_until(end)` comes before."""
        self.read_until(end)
        parts = [one for one in self._held if one.start < end - NEAR and one.start + one.duration > start + NEAR]
        whole = concatenate(parts or [self._held[-1]])
        first, last = start - whole.start, min(end, self.end) - whole.start
        samples = slice(max(0, round(first * READER_RATE)), max(0, round(last * READER_RATE)))
        shown = (whole.face_times >= first - NEAR) & (whole.face_times < last - NEAR)
        if last >= whole.duration - NEAR:  # a frame at the very end is in no later stretch
            shown |= whole.face_times >= last - NEAR
        rows = np.flatnonzero(shown)
        times = whole.face_times[rows] - first
        crops = whole.crops[rows] if isinstance(whole.crops, np.ndarray) else [whole.crops[row] for row in rows]
        # chunks know how many frames they have, not when; within one they come evenly
        frames = sum(
            one.num_frames * (min(one.start + one.duration, end) - max(one.start, start)) / one.duration
            for one in parts
            if one.duration > 0
        )
        return replace(
            whole,
            waveform=audible(whole.waveform[samples]),
            crops=crops,
            face_times=times,
            num_frames=max(round(frames), len(np.unique(times))),
            start=start,
            duration=max(0.0, last - first),
            persons=tuple(whole.persons[row] for row in rows),
        )


def grid_windows(chunks: Iterable[ClipInputs], window: float, hop: float) -> Iterator[ClipInputs]:
    """Windows of a clip that start every `hop` seconds; at least one.

    The last one ends with the clip. A remainder that is shorter than half a window belongs to the window before it.

    Args:
        chunks: consecutive pieces of the clip, at least one.
        window: seconds.
        hop: seconds, no longer than the window.
    """
    held, number = Chunks(chunks), 0
    while True:
        start = number * hop
        end, following = start + window, start + hop
        held.read_until(max(end, following + window / 2) + 2 * NEAR)  # beyond it, to know whether the clip ends there
        ends_here = held.is_over and (held.end <= end + NEAR or held.end - following < window / 2 - NEAR)
        yield held.cut(start, held.end if ends_here else end)
        if ends_here:
            return
        held.drop_before(following)
        number += 1


def given_windows(
    chunks: Iterable[ClipInputs], spans: Sequence[tuple[float, float]], window: float
) -> Iterator[tuple[int, ClipInputs]]:
    """Windows of the spans of a clip, in the order of time; spans may overlap.

    Args:
        chunks: consecutive pieces of the clip, at least one.
        spans: (start, end) in seconds.
        window: seconds; a longer span is cut into equal windows that are no longer.

    Yields:
        The number of the span, and a window of it.
    """
    held = Chunks(chunks)
    pieces = []
    for number, (start, end) in enumerate(spans):
        count = max(1, int(np.ceil((end - start) / window - NEAR)))
        edges = np.linspace(start, end, count + 1)
        pieces += [(first, last, number) for first, last in itertools.pairwise(edges)]
    for first, last, number in sorted(pieces):
        held.read_until(last)
        held.drop_before(first)
        yield number, held.cut(float(first), float(last))
    held.read_until(np.inf)  # whoever is looked for by name may come later


__all__ = ["Chunks", "given_windows", "grid_windows"]
