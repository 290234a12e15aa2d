import io
from fractions import Fraction
from functools import partial

import av
import numpy as np
import pytest
from helpers.synthetic import gray_frames, tone, write_clip
from PIL import Image

from av_emotion_hf.media import open_clip
from av_emotion_hf.media.source import Source
from av_emotion_hf.media.video import VideoTrack, _read_decord

LEVELS = np.arange(50) * 4 + 30
CORNERS = np.zeros((96, 128, 3), np.uint8)  # red and green above, blue and white below
CORNERS[:48, :64, 0], CORNERS[:48, 64:, 1], CORNERS[48:, :64, 2], CORNERS[48:, 64:] = 250, 250, 250, 250
FORMATS = {
    "mp4": ("libx264", "yuv420p", (96, 128)),
    "mov": ("libx265", "yuv420p", (96, 128)),
    "mkv": ("ffv1", "gray", (96, 128)),
    "webm": ("libvpx-vp9", "yuv420p", (96, 128)),
    "avi": ("mpeg4", "yuv420p", (96, 128)),
    "odd.mp4": ("libx264", "yuv444p", (97, 131)),
    "deep.mp4": ("libx264", "yuv420p10le", (96, 128)),
    "alpha.mov": ("png", "rgba", (96, 128)),
    "full.avi": ("mjpeg", "yuvj420p", (96, 128)),
}


def write_frames(path, codec, pix_fmt, frames, rotation=0, **context):
    """Write frames that are not uniform, at 25 frames a second."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none:pools=1:frame-threads=1"}
        if rotation:
            stream.set_display_rotation(rotation)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=pix_fmt)
            picture.pts = index
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


def moving_corners(height, width, number=30):
    """The four corners, scaled, one pixel farther to the right in each frame."""
    frame = np.asarray(Image.fromarray(CORNERS).resize((width, height), Image.Resampling.BILINEAR))
    return [np.roll(frame, index, axis=1) for index in range(number)]


def read(clip):
    times, frames = zip(*clip.frames(7), strict=True)
    return np.concatenate(times), np.concatenate(frames)


def psnr(one, other):
    return 10 * np.log10(255**2 / max(1e-9, np.mean((one.astype(float) - other) ** 2)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_both_readers_give_the_same_frames_at_the_same_times(tmp_path, suffix):
    codec, pix_fmt, size = FORMATS[suffix]
    original = moving_corners(*size)
    path = write_frames(tmp_path / f"p.{suffix}", codec, pix_fmt, original)
    clip = open_clip(path)
    times, frames = read(clip)
    assert clip.video_reader == "pyav" and frames.shape == (12, *size, 3)
    indices = np.round(times * 25).astype(int)
    assert indices.tolist() == np.floor(np.arange(12) * 2.5).astype(int).tolist()
    np.testing.assert_allclose(times, indices / 25, atol=1e-3)
    if pix_fmt != "gray":
        assert psnr(np.stack([original[index] for index in indices]), frames) > 20

    second = VideoTrack("decord", partial(_read_decord, Source(path)), None, True)
    other_times, other_frames = zip(*second.sample(10, second.lead), strict=True)
    np.testing.assert_allclose(other_times, times, atol=1e-3)
    assert psnr(np.stack(other_frames), frames) > 30
    assert second.length == pytest.approx(clip.duration, abs=1e-3)


def test_decord_takes_over_where_pyav_cannot(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "p.mp4", gray_frames(LEVELS))
    clip = open_clip(path)
    monkeypatch.setattr(Source, "streams", lambda self: None)
    for source in (path, path.read_bytes()):
        again = open_clip(source)
        assert again.video_reader == "decord" and not again.has_audio and again.audio_reader is None
        assert again.duration == pytest.approx(clip.duration, abs=1e-3)
        np.testing.assert_array_equal(read(again)[1], read(clip)[1])


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(4, 3), 171), (Fraction(2, 3), 85), (Fraction(99, 1), 128)])
def test_pixels_that_are_not_square(tmp_path, aspect, width):
    path = write_frames(tmp_path / "p.mp4", "libx264", "yuv444p", [CORNERS] * 5, sample_aspect_ratio=aspect)
    frames = read(open_clip(path))[1]
    assert frames.shape[1:] == (96, width, 3)
    wanted = np.asarray(Image.fromarray(CORNERS).resize((width, 96), Image.Resampling.BILINEAR))
    assert psnr(frames[0], wanted) > 25


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_rotation_flags(tmp_path, rotation, suffix):
    path = write_frames(tmp_path / f"p.{suffix}", "libx264", "yuv420p", [CORNERS] * 5, rotation)
    upright = read(open_clip(path))[1][0]
    assert psnr(upright, np.rot90(CORNERS, rotation // 90)) > 20
    second = VideoTrack("decord", partial(_read_decord, Source(path)), None, True)
    assert psnr(next(second.sample(10, 0.0))[1], upright) > 35


@pytest.mark.parametrize(
    "suffix, codec", [("mp4", "libx264"), ("avi", "mpeg4"), ("mpg", "mpeg2video"), ("ts", "libx264")]
)
def test_frames_that_are_stored_out_of_order(tmp_path, suffix, codec):
    path = write_frames(tmp_path / f"p.{suffix}", codec, "yuv420p", gray_frames(LEVELS), max_b_frames=2, gop_size=12)
    clip = open_clip(path, fps=25)
    times, frames = read(clip)
    np.testing.assert_allclose(times, np.arange(50) / 25, atol=1e-3)
    assert np.abs(frames.mean(axis=(1, 2, 3)) - LEVELS).max() < 6
    assert clip.duration == pytest.approx(2.0, abs=1e-3)


def test_a_video_that_changes_its_size_starts_a_new_batch(tmp_path):
    parts = []
    for height, width in ((96, 128), (64, 80)):
        path = write_frames(tmp_path / "p.ts", "mpeg2video", "yuv420p", moving_corners(height, width, 25))
        parts.append(path.read_bytes())
    batches = list(open_clip(b"".join(parts), fps=25).frames(100))
    assert [frames.shape[1:] for _, frames in batches] == [(96, 128, 3), (64, 80, 3)]
    assert [len(times) for times, _ in batches] == [24, 25]  # the decoder drops the last frame before the change
    assert (np.diff(np.concatenate([times for times, _ in batches])) > 0).all()


def test_raw_stream_without_timestamps(tmp_path):
    path = write_frames(tmp_path / "p.h264", "libx264", "yuv420p", gray_frames(LEVELS))
    times, frames = read(open_clip(path, fps=25))
    np.testing.assert_allclose(times, np.arange(50) / 25, atol=1e-3)
    assert len(frames) == 50


def test_times_count_from_the_first_frame_of_a_late_video(tmp_path):
    path = write_clip(tmp_path / "p.mp4", gray_frames(LEVELS[:3]), times_ms=[5000, 5100, 5200])
    assert read(open_clip(path))[0].tolist() == pytest.approx([0, 0.1, 0.2], abs=1e-3)


def test_the_cover_of_a_song_is_not_a_video(tmp_path):
    cover = io.BytesIO()
    Image.fromarray(CORNERS).save(cover, "PNG")
    with av.open(str(tmp_path / "song.mp3"), "w") as file:
        audio = file.add_stream("mp3", rate=44_100, layout="stereo")
        picture = file.add_stream("png", rate=1)
        picture.width, picture.height, picture.pix_fmt = 128, 96, "rgb24"
        picture.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        file.mux(packet)
        sound = tone(1.0)
        for first in range(0, 44_100 - 1152, 1152):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[:, first : first + 1152]), "fltp", "stereo")
            frame.sample_rate, frame.pts = 44_100, first
            file.mux(audio.encode(frame))
        file.mux(audio.encode())
    with av.open(str(tmp_path / "song.mp3")) as file:
        assert len(file.streams.video) == 1
    clip = open_clip(tmp_path / "song.mp3")
    assert not clip.has_video and clip.video_reader is None and clip.has_audio
    assert clip.duration == pytest.approx(1.0, abs=0.1)


def test_nothing_is_written_for_bytes(tmp_path, monkeypatch):
    data = write_clip(tmp_path / "p.mp4", gray_frames(LEVELS), sound=tone(2.0)).read_bytes()
    monkeypatch.setattr("tempfile.NamedTemporaryFile", None)
    assert len(read(open_clip(data))[0]) == 20


def test_only_frames_that_are_asked_for_are_converted(tmp_path, monkeypatch):
    clip = open_clip(write_clip(tmp_path / "p.mp4", gray_frames(LEVELS)), fps=5)
    raw, converted = clip._video._raw_frames, []

    def counted():
        for index, (stamp, duration, to_rgb) in enumerate(raw()):
            yield stamp, duration, lambda index=index, to_rgb=to_rgb: converted.append(index) or to_rgb()

    monkeypatch.setattr(clip._video, "_raw_frames", counted)
    assert len(read(clip)[0]) == 10 and converted == list(range(0, 50, 5))
