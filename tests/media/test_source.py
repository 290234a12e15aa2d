import gc
import io
from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic import gray_frames, tone, write_clip

from av_emotion_hf.media import ClipError, open_clip
from av_emotion_hf.media.source import Source


@pytest.fixture
def clip_path(tmp_path):
    return write_clip(tmp_path / "clip.mp4", gray_frames([60] * 25), sound=tone(1.0))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda folder: folder / "missing.mp4", r"missing\.mp4: there is no such file; check the path"),
        (lambda folder: folder, r"is a folder, and a clip is a file; name one"),
        (lambda folder: b"", r"<bytes>: is empty, and a clip needs audio or video; copy or download"),
        (lambda folder: io.BytesIO(), r"<file>: is empty, and a clip needs audio or video; copy or download"),
        (lambda folder: b"these are words\n" * 9, r"<bytes>: is a text file, and a clip is an audio or video file"),
    ],
)
def test_what_is_not_a_clip(tmp_path, make, message):
    with pytest.raises(ClipError, match=message) as error:
        open_clip(make(tmp_path))
    assert "\n" not in str(error.value)


def test_a_file_object_is_read_from_where_it_stands_and_its_copy_goes_with_the_source(clip_path):
    class Stream(io.RawIOBase):
        """Cannot seek."""

        def __init__(self):
            self.data = io.BytesIO(b"header" + clip_path.read_bytes())
            self.data.read(6)

        def read(self, size=-1):
            return self.data.read(size)

    clip = open_clip(Stream())
    assert clip.name == "<file>"
    np.testing.assert_array_equal(clip.waveform, open_clip(clip_path).waveform)
    source = Source(Stream())
    copy = Path(source.path)
    assert copy.read_bytes() == clip_path.read_bytes()
    del source
    gc.collect()
    assert not copy.exists()


def test_bytes_are_written_to_a_file_where_a_reader_needs_one(clip_path):
    source = Source(clip_path.read_bytes())
    copy = Path(source.path)
    assert copy.read_bytes() == clip_path.read_bytes() and source.path == str(copy)
    del source
    gc.collect()
    assert not copy.exists()


def test_a_file_stays_when_its_source_goes(clip_path):
    source = Source(clip_path)
    assert source.path == str(clip_path)
    del source
    gc.collect()
    assert clip_path.exists()


def test_streams_of_a_file(clip_path):
    streams = Source(clip_path).streams()
    assert sorted(stream.kind for stream in streams) == ["audio", "video"]
    assert all(stream.decodable and stream.pixel_aspect == 1 for stream in streams)
    assert all(stream.length == pytest.approx(1.0, abs=0.08) for stream in streams)
    (video,) = (stream for stream in streams if stream.kind == "video")
    assert video.length_from(video.start + 0.2) == pytest.approx(video.length - 0.2)
    assert video.length_from(video.start - 1) == video.length_from(None) == video.length
    assert Source(bytes(range(256)) * 20).streams() is None
