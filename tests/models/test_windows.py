import io
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch

from av_emotion_hf.media import open_clip
from av_emotion_hf.models import windows_av_emotion
from av_emotion_hf.models.windows_av_emotion import (
    ClipInputs,
    ClipWindows,
    _soundfile_audio,
    check_fps,
    check_times,
    check_window,
    concatenate,
    fallback_audio,
    merge_short_tail,
)


def window(start, samples, times=(), duration=1.0, detector=None):
    crops = np.zeros((len(times), 4, 4, 3), np.uint8)
    return ClipInputs(np.ones(samples, np.float32), crops, np.array(times, float), 10, start, duration, 0.5, detector)


def test_concatenated_windows_keep_their_times():
    joined = concatenate([window(2.0, 8000, [0.5]), window(3.0, 16000, [0.25], detector="mtcnn")])
    assert (joined.start, joined.duration, joined.num_frames, joined.lead_black) == (2.0, 2.0, 20, 0.5)
    np.testing.assert_allclose(joined.face_times, [0.5, 1.25])
    assert len(joined.waveform) == 32000 and joined.waveform[8000:16000].max() == 0  # the silence between them
    assert joined.face_coverage == 0.1 and joined.detector == "mtcnn"
    assert len(concatenate([window(0.0, 8000), window(1.0, 0)]).waveform) == 8000  # silence at the end is not added
    assert len(concatenate([window(0.0, 0), window(1.0, 0)]).waveform) == 0


@pytest.mark.parametrize(
    ("durations", "merged"),
    [([1, 1, 0.4], [1, 1.4]), ([1, 1, 0.5], [1, 1, 0.5]), ([0.2], [0.2]), ([1], [1]), ([1, 0.49], [1.49]), ([], [])],
)
def test_a_short_tail_becomes_part_of_the_window_before(durations, merged):
    windows = [window(float(i), round(16000 * each), duration=each) for i, each in enumerate(durations)]
    found = list(merge_short_tail(windows, 1.0))
    assert [each.duration for each in found] == pytest.approx(merged)
    assert [len(each.waveform) for each in found] == [round(16000 * each) for each in merged]


def test_arrays_are_cut_without_being_copied():
    waveform = np.random.default_rng(0).uniform(-1, 1, 56000).astype(np.float32)
    crops = np.zeros((7, 4, 4, 3), np.uint8)
    times = np.arange(7) / 2
    parts = list(ClipWindows(16000, True)({"waveform": waveform, "faces": crops, "face_times": times}, 1.0))
    assert [(part.start, part.duration) for part in parts] == [(0, 1), (1, 1), (2, 1), (3, 0.5)]
    assert [len(part.crops) for part in parts] == [2, 2, 2, 1]
    assert [part.face_times.tolist() for part in parts] == [[0, 0.5], [0, 0.5], [0, 0.5], [0]]
    assert all(np.shares_memory(part.waveform, waveform) and np.shares_memory(part.crops, crops) for part in parts)
    np.testing.assert_array_equal(np.concatenate([part.waveform for part in parts]), waveform)


def test_files_become_mono_alike_with_and_without_the_package(tmp_path):
    """Through PyAV and through soundfile, as the package reads them; at the model's rate."""
    voice = 0.4 * np.sin(np.arange(16_000) / 5)
    voice = np.round(voice * 32768) / 32768
    silent = 0 * voice
    for name, channels in {
        "mono": [voice],
        "same": [voice, voice],
        "one": [silent, voice],
        "opposite": [voice, -voice],
        "center": [silent, silent, voice, silent, silent, silent],
        "low": [silent, silent, silent, voice, silent, silent],
        "many": [voice] * 9,
    }.items():
        path = str(tmp_path / f"{name}.wav")
        soundfile.write(path, np.stack(channels).T, 16_000)
        for found in (
            fallback_audio(path, 16_000),
            fallback_audio(Path(path).read_bytes(), 16_000),
            _soundfile_audio(path, 16_000, name),
            open_clip(path).waveform,
        ):
            np.testing.assert_allclose(found, voice, atol=4e-5, err_msg=name)
        assert len(fallback_audio(path, 8000)) == pytest.approx(8000, abs=2)


def test_without_the_package_ffmpeg_opens_no_url(monkeypatch):
    opened = []
    monkeypatch.setattr("av.open", lambda file, mode: opened.append(file) or (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(ValueError, match=r"^rtsp://a/b: cannot be read \(no\); give a file that holds audio"):
        fallback_audio("rtsp://a/b", 16_000)
    assert opened == ["file:rtsp://a/b"]


def test_silence_is_no_audio():
    (part,) = ClipWindows(16000, False)(np.zeros(16000, np.float32))
    assert part.modalities == [] and part.duration == 1.0


def test_a_window_is_ten_seconds_unless_said_otherwise():
    assert check_window(None) == 10.0 and check_window("whole") == "whole" and check_window(3) == 3.0
    long = np.ones(16000 * 25, np.float32)
    lengths = {
        window: [len(part.waveform) / 16000 for part in ClipWindows(16000, False)(long, window)]
        for window in (None, 5, "whole")
    }
    assert lengths == {None: [10, 10, 5], 5: [5] * 5, "whole": [25]}


def test_without_a_reader_faces_and_options_of_it_are_refused():
    windows = ClipWindows(16000, True)
    for options in ({"detector": "mtcnn"}, {"person": "speaking"}):
        with pytest.raises(ValueError, match="nothing that is installed here finds faces"):
            windows(torch.ones(1600), **options)
    with pytest.raises(ValueError, match="option 'color' is unknown; the options are fps, detector, person"):
        windows(torch.ones(1600), color="red")
    with pytest.raises(ValueError, match="fps=0: has to be a positive number"):
        windows(torch.ones(1600), fps=0)
    with pytest.raises(ValueError, match="finds the face in frames"):
        windows({"frames": np.zeros((3, 8, 8, 3), np.uint8)})
    with pytest.raises(ValueError, match="finds the face in a clip"):
        ClipWindows(None, True)("clip.mp4")


def test_audio_that_was_read_has_the_rate_of_the_model():
    class Reader:
        def __init__(self, modality, **options):
            assert modality == "audio" and options == {"window": 10.0}

        def windows(self, source):
            yield window(0.0, 16000)

    (part,) = ClipWindows(8000, False, Reader)("clip.wav")
    assert len(part.waveform) == 8000


def test_times_and_frames_per_second_are_checked():
    assert check_times([0, 0.5], 2, "frames").tolist() == [0, 0.5]
    assert check_times(torch.tensor([-0.5, 0.5]), 2, "frames").tolist() == [-0.5, 0.5]
    wrong = {r"face_times\[2\] = 0.2": [0, 0.2, 0.2], r"\[1\] = nan": [0, np.nan, 1], r"\[2\] = inf": [0, 1, np.inf]}
    for where, times in wrong.items():
        with pytest.raises(ValueError, match=f"{where}: has to be finite and later than the one before"):
            check_times(times, 3, "face crops")
    for times, count in (([0.0], 1), ([[0.0, 1.0, 2.0]], 3)):
        with pytest.raises(ValueError, match=f"3 frames and {count} face_times: give one time for each of them"):
            check_times(times, 3, "frames")
    assert [check_fps(fps) for fps in (10, np.int64(10), np.float32(10), torch.tensor(10.0))] == [10] * 4
    for fps in (0, -1, True, "10", None, float("nan"), float("inf"), [10]):
        with pytest.raises(ValueError, match="has to be a positive number"):
            check_fps(fps)


class Reader:
    """Reads a clip as 1.5 seconds of audio that begins after half a second, and five crops; keeps what it is asked."""

    asked: ClassVar[list] = []

    def __init__(self, modality, **options):
        self.modality = modality

    def windows(self, source):
        self.asked.append((self.modality, source))
        yield window(0.0, 0, [0.1], duration=0.5)
        yield window(0.5, 16000 if self.modality != "image" else 0, [0.1, 0.2])

    def read_frames(self, frames, times, waveform, rate):
        self.asked.append((frames, times))
        return window(0.0, len(waveform), times)


@pytest.fixture
def asked():
    Reader.asked.clear()
    return Reader.asked


def test_of_a_file_beside_face_crops_the_audio_is_read(asked):
    windows = ClipWindows(8000, True, Reader)
    for clip in ({"audio": "a.wav"}, {"audio": {"bytes": b"a", "path": None}}, {"path": "a.wav"}):
        (part,) = windows(clip | {"faces": np.zeros((3, 8, 8, 3), np.uint8), "fps": 2}, "whole")
        assert len(part.waveform) == 12000 and abs(part.waveform[:3900]).max() < 0.1 < abs(part.waveform[4100:]).min()
        assert part.face_times.tolist() == [0, 0.5, 1] and part.duration == 1.5
    assert asked == [("audio", "a.wav"), ("audio", b"a"), ("audio", "a.wav")]
    silent, _ = windows({"audio": {"bytes": None, "path": "a.wav"}})
    assert asked[-1] == ("both", "a.wav") and len(silent.waveform) == 0  # alone it is the clip


def test_frames_are_pictures_of_one_size(asked):
    windows = ClipWindows(None, True, Reader)
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    for given in (frames, list(frames), torch.from_numpy(frames / 255).permute(0, 3, 1, 2)):
        (part,) = windows({"frames": given, "face_times": [0, 0.5, 1]}, "whole")
        assert part.face_times.tolist() == [0, 0.5, 1] and asked[-1][0].flags.c_contiguous
        np.testing.assert_array_equal(asked[-1][0], frames)
    with pytest.raises(ValueError, match=r"frames of 2 sizes, \(4, 4\) to \(8, 9\): give frames of one size"):
        windows({"frames": [frames[0], frames[1, :4, :4]]})


def test_a_decoder_of_torchcodec_is_asked_for_its_samples():
    class Samples:
        data, sample_rate = torch.full((2, 20), 0.5), 16000  # as short as it is, the channels are known

    class Decoder:
        def get_all_samples(self):
            return Samples

    for clip in (Decoder(), {"audio": Decoder()}):
        (part,) = ClipWindows(16000, False)(clip)
        assert part.waveform.tolist() == [0.5] * 20


def test_without_a_reader_an_open_file_is_read(monkeypatch):
    given = []
    monkeypatch.setattr(windows_av_emotion, "fallback_audio", lambda source, rate: given.append(source) or np.ones(8))
    for clip in ("a.wav", b"a", io.BytesIO(b"b"), {"audio": io.BytesIO(b"c"), "faces": np.zeros((1, 8, 8, 3))}):
        (part,) = ClipWindows(16000, True)(clip)
        assert len(part.waveform) == 8
    assert given == ["a.wav", b"a", b"b", b"c"]
