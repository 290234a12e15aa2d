import io
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from helpers.synthetic import gray_frames, tone, write_clip

from av_emotion_hf.media import ClipError, open_clip
from av_emotion_hf.media.source import Source

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
    gains = 1 / np.arange(1, channels + 1)
    soundfile.write(tmp_path / "s.wav", np.tile(tone(1.0, rate)[:1].T, channels) * gains, rate)
    clip = open_clip(tmp_path / "s.wav")
    assert clip.duration == pytest.approx(1.0, abs=1e-4) and len(clip.waveform) == pytest.approx(16_000, abs=2)
    weights = {1: [1], 2: [1, 1], 6: [0.5**0.5, 0.5**0.5, 1, 0, 0.5, 0.5]}[channels]
    expected = tone(1.0, 16_000)[0] * np.average(gains, weights=weights)
    np.testing.assert_allclose(clip.waveform[100:15_900], expected[100:15_900], atol=2e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_sample_formats(tmp_path, subtype):
    soundfile.write(tmp_path / "s.wav", tone(0.5, 16_000).T, 16_000, subtype=subtype)
    expected = soundfile.read(tmp_path / "s.wav", dtype="float32")[0][:, 0]  # the other channel is silent
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
    samples = np.array([0.5, np.nan, np.inf, -np.inf, 2.0] * 400, np.float32)
    for channels in (1, 2):
        soundfile.write(tmp_path / "s.wav", np.tile(samples[:, None], channels), 16_000, subtype="FLOAT")
        assert open_clip(tmp_path / "s.wav").waveform[:5].tolist() == [0.5, 0.0, 1.0, -1.0, 1.0]


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_of_another_scale_are_refused(tmp_path, subtype):
    sound = 12_000 * tone(1.0, 16_000)[0]
    sound[:8000] = 0
    soundfile.write(tmp_path / "s.wav", sound, 16_000, subtype=subtype)
    with pytest.raises(
        ClipError, match=r"s\.wav: holds the sample 6000, and full scale of floats is 1; divide"
    ) as error:
        open_clip(tmp_path / "s.wav")
    assert "\n" not in str(error.value)


# --- several channels


def test_the_same_sound_in_both_channels_is_that_sound(tmp_path):
    sound = np.round(tone(0.5, 16_000)[0] * 32767) / 32768
    for name, channels in (("mono", [sound]), ("same", [sound, sound]), ("left", [sound, 0 * sound])):
        soundfile.write(tmp_path / f"{name}.wav", np.stack(channels).T, 16_000)
    mono = open_clip(tmp_path / "mono.wav").waveform
    np.testing.assert_array_equal(mono, sound.astype(np.float32))
    for name in ("same", "left"):
        np.testing.assert_array_equal(open_clip(tmp_path / f"{name}.wav").waveform, mono)


def test_channels_of_opposite_polarity_do_not_cancel(tmp_path):
    sound = tone(0.5, 16_000)[0]
    soundfile.write(tmp_path / "s.wav", np.stack([sound, -sound]).T, 16_000)
    np.testing.assert_allclose(open_clip(tmp_path / "s.wav").waveform, sound, atol=1e-4)


@pytest.mark.parametrize("channel", range(6))
def test_a_voice_in_one_of_six_channels_keeps_its_level(tmp_path, channel):
    channels = np.zeros((8000, 6))
    channels[:, channel] = tone(0.5, 16_000)[0]
    soundfile.write(tmp_path / "s.wav", channels, 16_000, format="WAVEX")
    np.testing.assert_allclose(open_clip(tmp_path / "s.wav").waveform, channels[:, channel], atol=1e-4)


def test_named_channels_have_the_weights_of_their_names(tmp_path):
    """A layout that is not the default one of so many channels: quad, where 4.0 would be guessed."""
    names, sounds = ("FL", "FR", "BL", "BR"), [tone(0.5, 16_000, hertz)[0] for hertz in (300, 500, 700, 900)]
    with av.open(str(tmp_path / "s.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=16_000, layout="quad")
        packed = np.round(np.stack(sounds, axis=1) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "s16", "quad")
        frame.sample_rate = 16_000
        file.mux(stream.encode(frame))
        assert tuple(channel.name for channel in frame.layout.channels) == names
    weights = np.array([0.5**0.5, 0.5**0.5, 0.5, 0.5])
    expected = np.average(sounds, axis=0, weights=weights)
    np.testing.assert_allclose(open_clip(tmp_path / "s.wav").waveform, expected, atol=1e-4)


def test_what_is_decided_holds_for_the_whole_track(tmp_path):
    """The left channel speaks first, the right one last: neither changes its level midway, in blocks of any size."""
    sound = tone(3.0, 16_000)[0]
    left, right = sound.copy(), sound.copy()
    left[16_000:], right[:32_000] = 0, 0
    soundfile.write(tmp_path / "s.wav", np.stack([left, right]).T, 16_000)
    clip = open_clip(tmp_path / "s.wav")
    np.testing.assert_allclose(np.concatenate(list(clip.audio(0.3))), (left + right) / 2, atol=1e-4)


def test_each_layout_of_a_track_has_its_weights(tmp_path, monkeypatch):
    sound = tone(1.0, 16_000)[0]
    soundfile.write(tmp_path / "s.wav", sound, 16_000)
    clip = open_clip(tmp_path / "s.wav")

    def frames():
        parts = (("stereo", [sound, 0 * sound]), ("mono", [sound]), ("stereo", [sound, 0 * sound]))
        for number, (layout, channels) in enumerate((*parts, ("quad", [0 * sound, 0 * sound, sound, -sound]))):
            frame = av.AudioFrame.from_ndarray(np.stack(channels).astype(np.float32), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = 16_000, number * 16_000, Fraction(1, 16_000)
            yield frame

    monkeypatch.setattr(clip._audio, "_frames", frames)
    np.testing.assert_allclose(clip.waveform, np.tile(sound, 4), atol=1e-6)
    assert {len(weights) for weights in clip._audio._weights.values()} == {1, 2, 4}


def test_mono_needs_no_second_pass(tmp_path, monkeypatch):
    for channels, passes in ((1, 1), (2, 2)):
        soundfile.write(tmp_path / "s.wav", np.tile(tone(0.2, 16_000)[:1].T, channels), 16_000)
        clip, begun = open_clip(tmp_path / "s.wav"), []
        frames = clip._audio._frames
        monkeypatch.setattr(clip._audio, "_frames", lambda begun=begun, frames=frames: begun.append(1) or frames())
        assert len(list(clip.audio(0.1))) == 2 and len(begun) == passes
        assert len(list(clip.audio(0.1))) == 2 and len(begun) == passes + 1  # what was decided is kept


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


@pytest.mark.parametrize("start", [0.7, -0.3])
def test_sound_before_the_video_is_kept_and_later_sound_gets_silence(tmp_path, start):
    sound, path = tone(2.0, 16_000)[0], tmp_path / "s.mkv"
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
    assert clip.duration == pytest.approx(2.0 + abs(start), abs=0.01)
    times = np.concatenate([times for times, _ in clip.frames()])
    assert times[:3].tolist() == pytest.approx([max(0, -start) + tick for tick in (0, 0.08, 0.2)], abs=1e-3)
    expected = np.concatenate([np.zeros(round(max(0, start) * 16_000)), sound])
    np.testing.assert_allclose(clip.waveform, expected, atol=1e-4)


def test_sound_long_before_a_video_that_starts_late(tmp_path):
    times_ms = [1500 + 40 * index for index in range(25)]
    path = write_clip(tmp_path / "s.mp4", gray_frames([60] * 25), sound=tone(4.0), times_ms=times_ms)
    clip = open_clip(path)
    times = np.concatenate([times for times, _ in clip.frames()])
    assert times[0] == pytest.approx(1.5, abs=1e-3) and len(times) == 10
    assert len(clip.waveform) == pytest.approx(64_000, abs=1024) and clip.duration == pytest.approx(4.0, abs=0.03)
    assert np.abs(clip.waveform[:400]).max() > 0.4


def test_timestamps_that_have_nothing_in_common_start_together(tmp_path):
    times_ms = [2_000_000 + 40 * index for index in range(25)]
    path = write_clip(tmp_path / "s.mkv", gray_frames([60] * 25), sound=tone(1.0), times_ms=times_ms)
    clip = open_clip(path)
    assert next(clip.frames())[0][0] == 0 and clip.duration == pytest.approx(1.0, abs=0.05)
    assert np.abs(clip.waveform[:400]).max() > 0.4


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


def test_a_silent_track_is_passed_over_with_a_warning(tmp_path, caplog):
    sound, silence = tone(1.0, 16_000)[0], np.full(16_000, 5e-5)
    late = np.concatenate([silence, sound])
    path = write_tracks(
        tmp_path / "a.mkv", *((part, 16_000, 0, i == 0) for i, part in enumerate([silence, late, sound]))
    )
    clip = open_clip(path)
    assert clip.audio_track == 2 and pitch(clip.waveform[16_000:]) == pytest.approx(440, abs=1)
    assert caplog.messages == [f"{path}: audio track 1 is silent; track 2 is used"]
    caplog.clear()
    path = write_tracks(tmp_path / "b.mkv", *((part, 16_000, 0, False) for part in [silence, silence, sound]))
    assert open_clip(path).audio_track == 3
    assert caplog.messages == [f"{path}: audio tracks 1, 2 are silent; track 3 is used"]


def test_of_silent_tracks_the_first_is_used_and_none_is_none(tmp_path, caplog):
    silence, sound = np.zeros(16_000), tone(1.0, 16_000)[0]
    clip = open_clip(write_tracks(tmp_path / "a.mkv", (silence, 16_000, 0, True), (silence, 16_000, 0, False)))
    assert clip.audio_track == 1 and len(clip.waveform) == 16_000
    clip = open_clip(write_tracks(tmp_path / "b.mkv", (sound, 16_000, 0, False), (sound, 16_000, 0, True)))
    assert clip.audio_track == 2 and not caplog.messages  # the default one, which is no surprise
    assert open_clip(write_clip(tmp_path / "c.mp4", gray_frames([60] * 5))).audio_track is None


def test_tracks_are_searched_no_farther_than_to_the_first_sound(tmp_path, monkeypatch):
    sound = tone(2.0, 16_000)[0]
    path = write_tracks(tmp_path / "a.mkv", (sound, 16_000, 0, True), (sound, 16_000, 0, False))
    decoded, decode = [], Source.decode

    def counted(source, stream, threads):
        for frame in decode(source, stream, threads):
            decoded.append(stream.index)
            yield frame

    monkeypatch.setattr(Source, "decode", counted)
    assert open_clip(path).audio_track == 1
    assert len(decoded) == 2 and set(decoded) == {0}


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
