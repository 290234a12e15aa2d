import subprocess
import sys

import av
import numpy as np
import pytest
import soundfile
from helpers.synthetic import gray_frames, tone, write_clip

from av_emotion_hf.media import ClipError, open_clip

LEVELS = np.arange(50) * 4 + 30  # the gray level tells which frame it is


def read(clip, batch_size=32):
    """All timestamps, and the index that is burnt into each frame."""
    times, levels = [], []
    for batch_times, frames in clip.frames(batch_size):
        assert frames.dtype == np.uint8 and batch_times.dtype == np.float64
        assert len(batch_times) == len(frames) <= batch_size
        times += batch_times.tolist()
        levels += frames.mean(axis=(1, 2, 3)).tolist()
    return np.array(times), np.round((np.array(levels) - LEVELS[0]) / 4).astype(int)


def pitch(waveform):
    return np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))).argmax() * 16_000 / len(waveform)


@pytest.fixture
def video(tmp_path):
    return write_clip(tmp_path / "video.mp4", gray_frames(LEVELS), sound=tone(2.0))


# --- video


def test_frames_are_the_last_at_or_before_each_tick(video):
    times, indices = read(open_clip(video, fps=10))
    expected = np.floor(np.arange(20) / 10 * 25 + 1e-6).astype(int)
    assert indices.tolist() == expected.tolist()
    np.testing.assert_allclose(times, expected / 25, atol=1e-4)


def test_slow_source_gives_each_frame_once(tmp_path):
    clip = open_clip(write_clip(tmp_path / "slow.mp4", gray_frames(LEVELS[:12]), fps=6), fps=10)
    times, indices = read(clip)
    assert indices.tolist() == list(range(12))
    np.testing.assert_allclose(times, np.arange(12) / 6, atol=1e-3)
    assert clip.duration == pytest.approx(2.0, abs=0.01) and clip.waveform is None


def test_variable_frame_rate_keeps_true_timestamps(tmp_path):
    times_ms = np.cumsum([0, 40, 40, 300, 40, 40, 40, 500, 40, 40])
    path = write_clip(tmp_path / "vfr.mp4", gray_frames(LEVELS[:10]), times_ms=times_ms.tolist())
    times, indices = read(open_clip(path, fps=10))
    expected = [0, 2, 3, 6, 7, 9]  # at 0, 0.1, 0.4, 0.5, 1.0 and 1.1 s; the ticks between fall on the same frames
    assert indices.tolist() == expected
    np.testing.assert_allclose(times, times_ms[expected] / 1000, atol=2e-3)


def test_frames_can_be_read_again_and_in_any_batch_size(video):
    clip = open_clip(video)
    first, again = read(clip, 3), read(clip, 100)
    np.testing.assert_array_equal(first, again)


def test_fps_beyond_the_source_invents_nothing(video):
    assert read(open_clip(video, fps=1000))[1].tolist() == list(range(50))


@pytest.mark.parametrize("name, codecs", [("s.mpg", ("mpeg1video", "mp2")), ("s.ts", ("mpeg2video", "mp2"))])
def test_streams_without_an_index_keep_their_first_frames_and_stay_in_step(tmp_path, name, codecs):
    path = write_clip(tmp_path / name, gray_frames(LEVELS), sound=tone(2.0), codecs=codecs)
    for source in (path, path.read_bytes()):
        clip = open_clip(source)
        times, indices = read(clip)
        assert abs(indices - np.round(times * 25)).max() <= 1 and indices[0] == 0 and len(times) == 20
        assert np.abs(clip.waveform[:800]).max() > 0.1  # no silence was put before the sound
        assert clip.duration == pytest.approx(2.0, abs=0.1)


# --- audio


def test_stereo_tone_at_44100_hz_becomes_mono_at_16_khz(video):
    clip = open_clip(video)
    assert clip.waveform.dtype == np.float32 and clip.sampling_rate == 16_000
    assert len(clip.waveform) == pytest.approx(32_000, abs=1024)  # AAC comes in blocks of 1024 samples
    assert pitch(clip.waveform) == pytest.approx(440, abs=1)
    middle = clip.waveform[8000:24_000]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.02)  # a silent channel beside it takes nothing away
    assert clip.duration == pytest.approx(len(clip.waveform) / 16_000, abs=0.05)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_audio_files_from_path_and_from_bytes(tmp_path, suffix):
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(1.0, rate=22_050)[:1].T, 22_050)
    clip, again = open_clip(path), open_clip(path.read_bytes())
    assert not clip.has_video and list(clip.frames()) == []
    assert clip.duration == pytest.approx(1.0, abs=0.08)
    assert pitch(clip.waveform) == pytest.approx(440, abs=2)
    np.testing.assert_array_equal(clip.waveform, again.waveform)


def test_audio_without_video_in_a_video_container(tmp_path):
    clip = open_clip(write_clip(tmp_path / "sound.m4a", sound=tone(1.0, rate=48_000), rate=48_000))
    assert not clip.has_video and pitch(clip.waveform) == pytest.approx(440, abs=2)
    assert clip.duration == pytest.approx(1.0, abs=0.08)


def test_loud_audio_is_clipped_and_silence_is_audio(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.full(1600, 1.5, np.float32), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "silence.wav", np.zeros(1600, np.float32), 16_000)
    assert open_clip(tmp_path / "loud.wav").waveform.max() == 1.0
    assert open_clip(tmp_path / "silence.wav").waveform.tolist() == [0.0] * 1600


# --- black start


def test_black_start_is_cut_from_both_tracks(tmp_path):
    levels = [0] * 10 + LEVELS[:40].tolist()
    sound = tone(2.0)
    sound[:, : round(0.4 * 44_100)] = 0  # silent while black
    path = write_clip(tmp_path / "black.mp4", gray_frames(levels), sound=sound)
    clip, whole = open_clip(path), open_clip(path, trim_black=False)
    assert clip.lead_black == pytest.approx(10 / 25, abs=1e-3) and whole.lead_black == 0
    assert len(whole.waveform) - len(clip.waveform) == round(clip.lead_black * 16_000)
    assert np.abs(clip.waveform[:400]).max() > 0.1 > 0.01 > np.abs(whole.waveform[:4000]).max()
    times, indices = read(clip)
    assert times[0] == 0 and indices[:4].tolist() == [0, 2, 5, 7]
    assert whole.duration - clip.duration == pytest.approx(0.4, abs=1e-3)


def test_sound_does_not_depend_on_black_that_is_not_cut(tmp_path):
    frames, sound = gray_frames([0] * 10 + [90] * 40), tone(2.0)
    times_ms = [500 + 40 * index for index in range(50)]
    path = write_clip(tmp_path / "black.mp4", frames, sound=sound, times_ms=times_ms)
    clip, whole = open_clip(path), open_clip(path, trim_black=False)
    assert clip.lead_black == pytest.approx(0.4, abs=1e-3) and next(clip.frames())[0][0] == 0
    assert len(whole.waveform) - len(clip.waveform) == round(0.9 * 16_000)  # what sounds before the black ends
    np.testing.assert_array_equal(whole.waveform[round(0.9 * 16_000) :], clip.waveform)
    assert next(whole.frames())[0][0] == pytest.approx(0.5, abs=1e-3)
    assert whole.duration == pytest.approx(2.5, abs=0.05) and clip.duration == pytest.approx(1.6, abs=0.05)


def test_black_in_the_middle_stays_and_a_black_clip_keeps_its_frames(tmp_path):
    middle = open_clip(write_clip(tmp_path / "middle.mp4", gray_frames([90] * 5 + [0] * 5 + [90] * 5)))
    black = open_clip(write_clip(tmp_path / "black.mp4", gray_frames([0] * 20)))
    assert middle.lead_black == 0 and black.lead_black == 0
    assert len(read(black)[0]) == 8 and black.duration == pytest.approx(0.8, abs=0.01)


# --- sources and errors


def test_bytes_equal_path(video):
    clip, again = open_clip(video), open_clip(video.read_bytes())
    assert (clip.name, again.name) == (str(video), "<bytes>")
    assert clip.duration == again.duration
    np.testing.assert_array_equal(clip.waveform, again.waveform)
    np.testing.assert_array_equal(read(clip), read(again))


def test_names_that_ffmpeg_could_misread(video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http:näme %03d.mp4", "-y.mp4"):
        (tmp_path / name).write_bytes(video.read_bytes())
        assert len(read(open_clip(name))[0]) == 20


def test_noise_is_not_a_clip():
    message = r"<bytes>: neither audio nor video can be read, .* complete media"
    with pytest.raises(ClipError, match=message) as error:
        open_clip(bytes(range(256)) * 20)
    assert "\n" not in str(error.value)


def test_an_audio_file_without_samples_is_not_a_clip(tmp_path):
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0, np.float32), 16_000)
    with pytest.raises(ClipError, match="neither audio nor video"):
        open_clip(tmp_path / "nothing.wav")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("has_picture", "has_video"),
        ("has_sound", "has_audio"),
        ("picture_reader", "video_reader"),
        ("sound_reader", "audio_reader"),
    ],
)
def test_old_names_of_attributes_still_work(video, old, new):
    clip = open_clip(video)
    with pytest.warns(DeprecationWarning, match=f"Clip.{old} is now Clip.{new}") as warnings:
        assert getattr(clip, old) == getattr(clip, new)
    assert warnings[0].filename == __file__


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_fps_has_to_be_positive(video, fps):
    with pytest.raises(ValueError, match="frames per second have to be positive"):
        open_clip(video, fps=fps)


def test_batch_size_has_to_be_positive(video):
    with pytest.raises(ValueError, match="batch_size=0"):
        next(open_clip(video).frames(0))


def test_damaged_video_leaves_the_audio(tmp_path):
    path = write_clip(tmp_path / "whole.avi", gray_frames(LEVELS), sound=tone(2.0), codecs=("mpeg4", "pcm_s16le"))
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"XXXX").replace(b"fmp4", b"XXXX"))
    clip = open_clip(path)
    assert not clip.has_video and pitch(clip.waveform) == pytest.approx(440, abs=1)


@pytest.mark.slow
def test_truncated_files_end_in_a_clip_or_one_line(tmp_path):
    """In a process of its own, for a decoder that crashes must not take the test run with it."""
    mp4 = write_clip(tmp_path / "t.mp4", gray_frames(LEVELS), sound=tone(2.0))
    mpg = write_clip(tmp_path / "t.mpg", gray_frames(LEVELS), sound=tone(2.0), codecs=("mpeg1video", "mp2"))
    mkv = write_clip(tmp_path / "t.mkv", gray_frames(LEVELS), sound=tone(2.0))
    script = (
        "import sys\nfrom av_emotion_hf.media import ClipError, open_clip\n"
        "for path in sys.argv[1:]:\n"
        "    data = open(path, 'rb').read()\n"
        "    for part in (0.001, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999):\n"
        "        try:\n            clip = open_clip(data[: max(1, int(part * len(data)))])\n"
        "            print(path[-3:], sum(len(frames) for _, frames in clip.frames()))\n"
        "        except ClipError as error:\n            print(path[-3:], str(error).count(chr(10)))\n"
    )
    run = subprocess.run([sys.executable, "-c", script, mp4, mpg, mkv], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and len(run.stdout.splitlines()) == 27
    assert run.stderr == ""


# --- real clips


@pytest.mark.corpora
def test_real_clips_against_pyav(shared):
    for path in [*sorted(shared.glob("clips/*.m[po]*[g4v]"))[::4], shared / "clips" / "pyfeat__face_noface.mov"]:
        clip = open_clip(path, trim_black=False)
        with av.open(str(path)) as file:
            frames = [(frame.time, frame.to_ndarray(format="rgb24")[::16, ::16]) for frame in file.decode(video=0)]
        start = frames[0][0]
        by_time = {round((time - start) * 1000): frame for time, frame in frames}
        for times, batch in clip.frames():
            for time, frame in zip(times, batch, strict=True):
                near = min(by_time, key=lambda ms: abs(ms - time * 1000))
                assert abs(near - time * 1000) <= 1
                assert np.abs(by_time[near].astype(int) - frame[::16, ::16]).mean() < 3, path.name
        with av.open(str(path)) as file:
            assert (clip.waveform is not None) == bool(file.streams.audio)
            if file.streams.audio:
                sound = list(file.decode(audio=0))
                samples = sum(frame.samples for frame in sound)
                seconds = samples / sound[0].rate + sound[0].time
                assert len(clip.waveform) == pytest.approx(seconds * 16_000, abs=4), path.name


@pytest.mark.corpora
def test_black_start_of_javased_video(shared):
    parquet = pytest.importorskip("pyarrow.parquet")
    files = sorted(shared.glob("data/javased_video/data/*.parquet"))
    if not files:
        pytest.skip("needs ../shared/data/javased_video")
    for row in parquet.read_table(files[0]).to_pylist()[::5]:
        clip = open_clip(row["video"]["bytes"])
        assert clip.lead_black * 29.97 == pytest.approx(row["lead_black_frames"], abs=0.1)
