import gc
import http.server
import io
import threading
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
        (lambda folder: io.StringIO("words"), r"<file>: is opened in text mode, and a clip is bytes; open it with"),
        (lambda folder: (folder / "a.txt").open("w+"), r"<file>: is opened in text mode"),
        (lambda folder: (folder / "a.bin").open("wb"), r"<file>: cannot be read \(.*read.*\); open it again"),
        (lambda folder: np.zeros((2, 2)), r"ndarray: is no source of a clip; give a path, a URL, bytes, or a file"),
        (lambda folder: (folder / "missing.mp4").as_uri(), r"^file:.*missing\.mp4: there is no such file; check"),
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


def test_a_file_object_at_its_end_is_named_as_such(clip_path):
    data = io.BytesIO(clip_path.read_bytes())
    open_clip(data)
    with pytest.raises(ClipError, match=rf"<file>: nothing follows byte {data.tell()}, where it stands; call its"):
        open_clip(data)
    data.seek(0)
    assert open_clip(data).has_video


def test_file_urls_are_paths(clip_path):
    path = clip_path.rename(clip_path.with_name("clip 1#ü.mp4"))
    source = Source(path.as_uri())
    assert "%20" in source.name and source.path == str(path)


@pytest.fixture
def server(clip_path, monkeypatch):
    """Address of a server on this machine that has a clip, a page, and a clip that it does not send to its end."""
    monkeypatch.setenv("no_proxy", "*")
    data = clip_path.read_bytes()
    answers = {"/clip.mp4": (200, data, 0), "/page": (200, b"<html></html>", 0), "/broken.mp4": (200, data, 1000)}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, missing = answers.get(self.path, (404, b"", 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + missing))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_url_is_downloaded_to_a_file_that_goes_with_the_source(server, clip_path):
    clip = open_clip(f"{server}/clip.mp4")
    assert clip.name == f"{server}/clip.mp4"
    np.testing.assert_array_equal(clip.waveform, open_clip(clip_path).waveform)
    source = Source(f"{server}/clip.mp4")
    copy = Path(source.path)
    assert copy.read_bytes() == clip_path.read_bytes()
    del source
    gc.collect()
    assert not copy.exists()


def test_a_url_that_cannot_be_read_is_one_line(server):
    messages = {
        f"{server}/none.mp4": r"none\.mp4: cannot be downloaded \(HTTP Error 404: Not Found\); check the address and",
        f"{server}/page": r"/page: is a text file, and a clip is an audio or video file",
        f"{server}/broken.mp4": r"/broken\.mp4: .*(connection ended after \d+ of \d+ bytes|IncompleteRead)",
        "http://127.0.0.1:9/clip.mp4": r"9/clip\.mp4: cannot be downloaded \(Connection refused\); check the address",
        "http://[::1/clip.mp4": r"^http://\[::1/clip\.mp4: cannot be downloaded \(.*\); check the address",
        "https:///clip.mp4": r"^https:///clip\.mp4: cannot be downloaded \(.*no host.*\); check the address",
    }
    for url, message in messages.items():
        with pytest.raises(ClipError, match=message) as error:
            open_clip(url)
        assert "\n" not in str(error.value)


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


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "as bytes"])
@pytest.mark.parametrize(
    "head",
    [
        b"#EXTM3U\n#\xff\x01\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\n%s\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\n#\xff\x01\nfile %s\n",
    ],
    ids=["hls", "concat"],
)
def test_playlist_with_a_byte_that_is_no_text_opens_no_other_file(tmp_path, head, name):
    """FFmpeg would open what it names: of a service, any file on its disk."""
    other = write_clip(tmp_path / "other.ts", gray_frames([90] * 25), codecs=("mpeg2video", None))
    assert open_clip(other).duration > 0.9
    playlist = tmp_path / name
    playlist.write_bytes(head % b"other.ts")
    with pytest.raises(ClipError, match="names other files"):
        open_clip(playlist.read_bytes() if name == "as bytes" else playlist)
