"""What the service makes of the pieces of a live stream; the stream itself is tested in tests/inference."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from av_emotion_hf.app import live
from av_emotion_hf.app.limits import Limits
from av_emotion_hf.app.live import Chunk, LiveSessions
from av_emotion_hf.app.workshop import Settings
from av_emotion_hf.errors import InputError

FIELDS = {"audio": b"\0\0" * 10, "rate": "48000", "audio_time": "0.5", "times": "0.1,0.2"}


def picture(width=8, height=6, form="JPEG"):
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 40)).save(file, form)
    return file.getvalue()


def test_a_form_becomes_a_chunk():
    chunk = Chunk.of_form(FIELDS, [b"a", b"b"])
    assert chunk == Chunk(b"\0\0" * 10, 48_000, 0.5, (b"a", b"b"), (0.1, 0.2))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"audio": None}, "has audio, rate"),
        ({"audio": "text"}, "has audio, rate"),
        ({"rate": "fast"}, "has audio, rate"),
        ({"rate": "1"}, "at 4000 to 200000 Hz"),
        ({"rate": "1e9"}, "has audio, rate"),
        ({"audio": b"\0"}, "has to be int16"),
        ({"audio_time": ""}, "has audio, rate"),
        ({"times": "0.1"}, "2 frames have 1 times"),
        ({"times": "a,b"}, "has audio, rate"),
    ],
)
def test_a_form_that_is_none_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Chunk.of_form(FIELDS | wrong, [b"a", b"b"])
    with pytest.raises(InputError, match="has audio, rate"):
        Chunk.of_form({}, [])


class Recorder:
    """In place of a stream: notes what is pushed."""

    latency = live.Chunk(b"", 0, 0.0, (), ())  # some dataclass

    def push(self, audio, frames):
        self.audio, self.frames = audio, list(frames)
        return []


def test_a_chunk_is_pushed_as_samples_and_pictures(monkeypatch):
    monkeypatch.setattr(live, "_stream", stream := Recorder())
    chunk = Chunk(np.array([1, -2, 3], "<i2").tobytes(), 8000, 0.25, (picture(), picture(form="PNG")), (0.1, 0.2))
    assert live.push_chunk(chunk, lambda *_: None)["rows"] == []
    samples, rate, start = stream.audio
    assert samples.tolist() == [1, -2, 3] and (rate, start) == (8000, 0.25)
    assert [time for time, _ in stream.frames] == [0.1, 0.2]
    assert all(frame.shape == (6, 8, 3) and abs(frame.mean() - 90) < 3 for _, frame in stream.frames)
    live.push_chunk(Chunk(b"", 8000, 0.25, (), ()), lambda *_: None)
    assert stream.audio is None


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no picture", "a frame is no JPEG, PNG or WebP"),
        (picture()[:-30], "a frame is no JPEG, PNG or WebP"),
        (picture(form="GIF"), "a frame is no JPEG, PNG or WebP"),
        (picture(3000, 1000), "a frame has 3000 x 1000 pixels; send full HD at most"),
    ],
)
def test_a_frame_that_is_none_or_huge_is_refused(monkeypatch, content, message):
    monkeypatch.setattr(live, "_stream", Recorder())
    with pytest.raises(InputError, match=message):
        live.push_chunk(Chunk(b"", 8000, 0.0, (content,), (0.0,)), lambda *_: None)


class IdleWorkshop:
    """In place of processes."""

    def __init__(self, *_, **__):
        self.closed = False

    async def call(self, function, item, name):
        if function is live.open_stream:
            return ("happy", "sad")
        if item.rate == 13:
            raise InputError("unlucky")
        return {"rows": []}

    def close(self):
        self.closed = True


@pytest.fixture
def sessions(monkeypatch, tmp_path):
    monkeypatch.setattr(live, "Workshop", IdleWorkshop)
    return LiveSessions(Limits(minutes=1), Settings(), tmp_path)


def test_streams_are_counted_and_end(sessions, monkeypatch):
    chunk = Chunk(b"", 8000, 0.0, (), ())

    async def run():
        first = await sessions.start("a", 0.4)
        assert set(first["colors"]) == {"happy", "sad", "uncertain"} and first["fps"] == 10.0
        with pytest.raises(InputError, match="somebody else is live"):
            await sessions.start("a", 0.4)
        assert await sessions.push(first["session"], chunk) == {"rows": []}
        with pytest.raises(InputError, match="unlucky"):  # which ends it
            await sessions.push(first["session"], Chunk(b"", 13, 0.0, (), ()))
        with pytest.raises(InputError, match="has ended"):
            await sessions.push(first["session"], chunk)
        second = await sessions.start("a", 0.4)
        monkeypatch.setattr(live, "IDLE", -1.0)
        third = await sessions.start("a", 0.4)  # the browser of the second one has gone
        with pytest.raises(InputError, match="has ended"):
            await sessions.push(second["session"], chunk)
        sessions._sessions[third["session"]].begun -= 61
        with pytest.raises(InputError, match="A stream ends after 1 minutes here"):
            await sessions.push(third["session"], chunk)
        assert not sessions._sessions

    asyncio.run(run())


def test_the_end_ends_all_streams(sessions):
    async def run():
        await sessions.start("a", 0.4)
        [session] = sessions._sessions.values()
        sessions.close()
        assert session.workshop.closed and not sessions._sessions

    asyncio.run(run())
