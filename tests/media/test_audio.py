import io

import av
import numpy as np
import pytest
import soundfile
from helpers.synthetic import gray_frames, tone, write_clip

from av_emotion_hf.media import open_clip

SYNC = {
    "mp4": ("libx264", "aac"),
    "mov": ("mpeg4", "pcm_s16le"),
    "mkv": ("libx264", "libopus"),
    "webm": ("libvpx-vp9", "libopus"),
    "avi": ("mpeg4", "mp2"),
    "mpg": ("mpeg1video", "mp2"),
    "ts": ("mpeg2video", "aac"),
}


def pitch(waveform):
    return np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))).argmax() * 16_000 / len(waveform)


def write_tracks(path, *tracks):
    """Write tracks of 16-bit sound, each (samples, rate, start in seconds, whether it is the default)."""
    with av.open(str(path), "w") as file:
        streams = []
        for _, rate, _, default in tracks:
            stream = file.add_stream("pcm_s16le", rate=rate, layout="mono")
            stream.disposition = av.stream.Disposition.default if default else 0
            streams.append(stream)
        for stream, (samples, rate, start, _) in zip(streams, tracks, strict=True):
            for first in range(0, len(samples), rate // 10):
                piece = np.round(samples[first : first + rate // 10] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(piece[None], "s16", "mono")
                frame.sample_rate, frame.pts = rate, round(start * rate) + first
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
    return path


# --- formats


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_rates_and_channels(tmp_path, rate, channels):
    soundfile.write(tmp_path / "s.wav", np.tile(tone(1.0, rate)[:1].T, channels) / np.arange(1, channels + 1), rate)
    clip = open_clip(tmp_path / "s.wav")
    assert clip.duration == pytest.approx(1.0, abs=1e-4) and len(clip.waveform) == pytest.approx(16_000, abs=2)
    expected = tone(1.0, 16_000)[0] * np.mean(1 / np.arange(1, channels + 1))
    np.testing.assert_allclose(clip.waveform[100:15_900], expected[100:15_900], atol=2e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_sample_formats(tmp_path, subtype):
    soundfile.write(tmp_path / "s.wav", tone(0.5, 16_000).T, 16_000, subtype=subtype)
    expected = soundfile.read(tmp_path / "s.wav", dtype="float32")[0].mean(axis=1)
    np.testing.assert_allclose(open_clip(tmp_path / "s.wav").waveform, expected, atol=1e-6)


@pytest.mark.parametrize("suffix, tolerance", [("flac", 1e-6), ("aiff", 1e-6), ("ogg", 1e-3), ("mp3", 2e-3)])
def test_audio_files_as_soundfile_reads_them(tmp_path, suffix, tolerance):
    path = tmp_path / f"s.{suffix}"
    soundfile.write(path, tone(1.0, 16_000)[:1].T, 16_000)
    expected = soundfile.read(path, dtype="float32")[0]
    for source in (path, path.read_bytes()):
        clip = open_clip(source)
        assert not clip.has_video and clip.has_audio and clip.audio_reader == "pyav"
        assert len(clip.waveform) == pytest.approx(len(expected), abs=2400)  # MP3: the padding of the encoder
        length = min(len(expected), len(clip.waveform))
        np.testing.assert_allclose(clip.waveform[:length], expected[:length], atol=tolerance)


@pytest.mark.parametrize("channels", [3, 5, 9, 24])
def test_many_channels(tmp_path, channels):
    soundfile.write(tmp_path / "s.wav", np.tile(tone(0.5, 16_000)[:1].T, channels), 16_000)
    np.testing.assert_allclose(open_clip(tmp_path / "s.wav").waveform, tone(0.5, 16_000)[0], atol=1e-4)


def test_values_out_of_range_are_made_harmless(tmp_path):
    samples = np.array([0.5, np.nan, np.inf, -np.inf, 3.0] * 400, np.float32)
    soundfile.write(tmp_path / "s.wav", samples, 16_000, subtype="FLOAT")
    assert open_clip(tmp_path / "s.wav").waveform[:5].tolist() == [0.5, 0.0, 1.0, -1.0, 1.0]


# --- blocks


@pytest.mark.parametrize("block", [1 / 16_000, 0.0137, 0.5, 10.0])
def test_blocks_of_any_size_give_the_same_samples(tmp_path, block):
    path = write_clip(tmp_path / "s.mp4", gray_frames([60] * 8), sound=tone(0.3))
    clip = open_clip(path)
    blocks = list(clip.audio(block))
    assert {len(part) for part in blocks[:-1]} <= {round(block * 16_000)} and len(blocks[-1]) <= round(block * 16_000)
    assert all(part.dtype == np.float32 for part in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), clip.waveform)


@pytest.mark.parametrize("block", [0, -1.0, 1e-5, float("nan"), float("inf")])
def test_a_block_has_to_hold_a_sample(tmp_path, block):
    soundfile.write(tmp_path / "s.wav", np.zeros(100), 16_000)
    with pytest.raises(ValueError, match="a block of audio lasts at least one sample"):
        next(open_clip(tmp_path / "s.wav").audio(block))


def test_audio_and_video_can_be_read_in_turn(tmp_path):
    levels = np.arange(50) * 4 + 30
    clip = open_clip(write_clip(tmp_path / "s.mp4", gray_frames(levels), sound=tone(2.0)))
    waveform = clip.waveform
    frames = [frames for _, frames in clip.frames(4)]
    for index, ((_, batch), block) in enumerate(zip(clip.frames(4), clip.audio(0.4), strict=False)):
        np.testing.assert_array_equal(batch, frames[index])
        np.testing.assert_array_equal(block, waveform[index * 6400 : (index + 1) * 6400])
    assert index == 4


# --- time


@pytest.mark.parametrize("suffix", SYNC)
def test_flash_and_beep_coincide(tmp_path, suffix):
    levels = [40] * 30 + [220] * 10 + [40] * 20
    sound = tone(60 / 25, 48_000, hertz=1000.0)
    sound[:, : round(30 / 25 * 48_000)] = 0
    path = write_clip(tmp_path / f"s.{suffix}", gray_frames(levels), sound=sound, rate=48_000, codecs=SYNC[suffix])
    for source in (path, path.read_bytes()):
        clip = open_clip(source, fps=25)
        times, frames = (np.concatenate(part) for part in zip(*clip.frames(), strict=True))
        flash = times[np.argmax(frames.mean(axis=(1, 2, 3)) > 130)]
        beep = np.argmax(np.abs(clip.waveform) > 0.1) / 16_000
        assert flash == pytest.approx(1.2, abs=0.001 if suffix not in ("mpg", "ts") else 0.041)
        assert beep == pytest.approx(flash, abs=0.02)
        assert clip.duration == pytest.approx(2.4, abs=0.06)


def test_track_that_starts_later_gets_silence_and_one_that_starts_earlier_is_cut(tmp_path):
    sound = tone(2.0, 16_000)[0]
    for start in (0.7, -0.3):
        path = tmp_path / "s.mkv"
        with av.open(str(path), "w") as file:
            video = file.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            audio = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
            for index, frame in enumerate(gray_frames([60] * 50, 48, 64)):
                picture = av.VideoFrame.from_ndarray(frame, "rgb24")
                picture.pts = index + 25  # the picture starts at one second
                file.mux(video.encode(picture))
            file.mux(video.encode())
            for first in range(0, 32_000, 1600):
                piece = av.AudioFrame.from_ndarray(np.int16(sound[None, first : first + 1600] * 32767), "s16", "mono")
                piece.sample_rate, piece.pts = 16_000, round((1 + start) * 16_000) + first
                file.mux(audio.encode(piece))
        clip = open_clip(path)
        assert clip.duration == pytest.approx(max(2.0, 2.0 + start), abs=0.01)
        shift = round(start * 16_000)
        expected = np.concatenate([np.zeros(max(0, shift)), sound[max(0, -shift) :]])
        np.testing.assert_allclose(clip.waveform, expected, atol=1e-4)


def test_gaps_are_filled_with_silence_and_nonsense_is_not(tmp_path):
    sound = tone(0.5, 16_000)[0]
    for gap, silence in ((1.5, 24_000), (0.01, 0), (3000.0, 0)):
        path = tmp_path / "s.mkv"
        with av.open(str(path), "w") as file:
            audio = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
            for start in (0.0, 0.5 + gap):
                frame = av.AudioFrame.from_ndarray(np.int16(sound[None] * 32767), "s16", "mono")
                frame.sample_rate, frame.pts = 16_000, round(start * 16_000)
                file.mux(audio.encode(frame))
        clip = open_clip(path)
        np.testing.assert_allclose(clip.waveform, [*sound, *np.zeros(silence), *sound], atol=1e-4)
        assert clip.duration == pytest.approx(len(clip.waveform) / 16_000, abs=0.02)


def test_joined_transport_streams_play_on(tmp_path):
    codecs = ("mpeg2video", "mp2")
    path = write_clip(tmp_path / "s.ts", gray_frames([60] * 50), sound=tone(2.0), codecs=codecs)
    path.write_bytes(path.read_bytes() * 2)
    clip = open_clip(path)
    times = np.concatenate([times for times, _ in clip.frames()])
    assert clip.duration == pytest.approx(4.0, abs=0.1) and len(clip.waveform) == pytest.approx(64_000, abs=1600)
    assert len(times) == pytest.approx(40, abs=1) and (np.diff(times) > 0.07).all() and times[-1] < 4.0


# --- several tracks


def test_default_track_is_heard(tmp_path):
    low, high = tone(1.0, 16_000, hertz=300.0)[0], tone(1.0, 16_000, hertz=900.0)[0]
    first = write_tracks(tmp_path / "a.mkv", (low, 16_000, 0, True), (high, 16_000, 0, False))
    second = write_tracks(tmp_path / "b.mkv", (low, 16_000, 0, False), (high, 16_000, 0, True))
    assert pitch(open_clip(first).waveform) == pytest.approx(300, abs=1)
    assert pitch(open_clip(second).waveform) == pytest.approx(900, abs=1)


def test_behind_a_broken_track_comes_the_next(tmp_path):
    low, high = tone(1.0, 16_000, hertz=300.0)[0], tone(1.0, 16_000, hertz=900.0)[0]
    path = write_tracks(tmp_path / "a.mkv", (low, 16_000, 0, True), (high, 16_000, 0, False))
    data = path.read_bytes().replace(b"A_PCM/INT/LIT", b"A_NIL/INT/LIT", 1)
    assert pitch(open_clip(data).waveform) == pytest.approx(900, abs=1)


def test_file_objects(tmp_path):
    class Pipe(io.RawIOBase):  # cannot seek
        def __init__(self, data):
            self.file = io.BytesIO(data)

        def read(self, size=-1):
            return self.file.read(size)

    path = write_clip(tmp_path / "s.mp4", gray_frames([60] * 25), sound=tone(1.0))
    clip = open_clip(path)
    for file in (path.open("rb"), io.BytesIO(path.read_bytes()), Pipe(path.read_bytes())):
        with file:
            again = open_clip(file)
        assert again.name == "<file>" and again.duration == clip.duration
        np.testing.assert_array_equal(again.waveform, clip.waveform)
        np.testing.assert_array_equal(next(again.frames())[1], next(clip.frames())[1])
