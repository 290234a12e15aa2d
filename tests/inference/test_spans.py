import numpy as np
import pytest

from av_emotion_hf.inference.spans import Chunks, given_windows, grid_windows
from av_emotion_hf.models.windows_av_emotion import ClipInputs

RATE = 16000


def chunk(start, seconds, fps=10):
    """A chunk whose samples and crops say when they are: the sample's time in units of 100 s, the crop's in tenths."""
    times = np.arange(round(start * fps), round((start + seconds) * fps)) / fps
    samples = np.arange(round(start * RATE), round((start + seconds) * RATE)) / RATE
    crops = np.round(times * 10).astype(np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    names = tuple(f"person-{1 + (time >= 2)}" for time in times)
    waveform = ((samples + 1) / 100).astype(np.float32)
    return ClipInputs(waveform, crops, times - start, len(times), start, seconds, persons=names)


def chunks(duration, length=1.0):
    starts = np.arange(0, duration, length)
    return [chunk(float(start), float(min(length, duration - start))) for start in starts]


def spans(windows):
    return [(round(one.start, 3), round(one.start + one.duration, 3)) for one in windows]


@pytest.mark.parametrize(
    ("duration", "window", "hop", "expected"),
    [
        (0.5, 4, 2, [(0, 0.5)]),
        (4, 4, 2, [(0, 4)]),
        (5, 4, 2, [(0, 4), (2, 5)]),
        (8, 4, 2, [(0, 4), (2, 6), (4, 8)]),
        (8.5, 4, 2, [(0, 4), (2, 6), (4, 8), (6, 8.5)]),
        (8, 4, 4, [(0, 4), (4, 8)]),
        (9, 4, 4, [(0, 4), (4, 9)]),  # the remainder is shorter than half a window
        (10, 4, 4, [(0, 4), (4, 8), (8, 10)]),
        (5.2, 2, 1.5, [(0, 2), (1.5, 3.5), (3, 5.2)]),
    ],
)
@pytest.mark.parametrize("length", [1.0, 0.7, 30.0])
def test_grid(duration, window, hop, expected, length):
    assert spans(grid_windows(chunks(duration, length), window, hop)) == expected


def test_windows_hold_what_is_in_them():
    window = list(grid_windows(chunks(8.5, 0.7), 4, 2))[1]
    assert len(window.waveform) == 4 * RATE
    np.testing.assert_allclose(window.waveform[[0, -1]], [0.03, 0.03 + 4 / 100], atol=1e-4)
    assert window.crops[:, 0, 0, 0].tolist() == list(range(20, 60))
    np.testing.assert_allclose(window.face_times, np.arange(40) / 10, atol=1e-9)
    assert window.num_frames == 40 and window.persons == ("person-2",) * 40 and window.face_coverage == 1


def test_only_what_is_needed_is_held():
    held = Chunks(iter(chunks(100)))
    for start in range(90):
        held.cut(start, start + 4)
        held.drop_before(start + 1)
        assert len(held._held) <= 5


def test_given_spans_may_overlap_and_are_cut_into_windows():
    found = list(given_windows(chunks(20), [(10.0, 12.5), (1.0, 10.0), (11.0, 11.5)], 4))
    assert [(number, *span) for (number, _), span in zip(found, spans(one for _, one in found), strict=True)] == [
        (1, 1, 4),
        (1, 4, 7),
        (1, 7, 10),
        (0, 10, 12.5),
        (2, 11, 11.5),
    ]
    last = found[-1][1]
    assert len(last.waveform) == RATE // 2 and last.num_frames == 5
    np.testing.assert_allclose(last.waveform[0], 0.12, atol=1e-4)


def test_a_clip_without_anything_is_one_empty_window():
    nothing = ClipInputs(np.zeros(0, np.float32), np.zeros((0, 2, 2, 3), np.uint8), np.zeros(0), 0, 0.0, 0.0)
    assert spans(grid_windows([nothing], 4, 2)) == [(0, 0)]
