import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from av_emotion_hf.models.parts_av_emotion import ClipParts, clip_parts, is_file

SOUND, CROPS, FILE = np.zeros(100, np.float32), np.zeros((2, 8, 8, 3), np.uint8), io.BytesIO(b"content")
CELL = {"bytes": b"content", "path": "a.wav"}


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ("a.mp4", ClipParts(file="a.mp4")),
        (Path("a.mp4"), ClipParts(file="a.mp4")),
        (np.array("a.mp4"), ClipParts(file="a.mp4")),
        (np.str_("a.mp4"), ClipParts(file="a.mp4")),
        (b"content", ClipParts(file=b"content")),
        (bytearray(b"content"), ClipParts(file=b"content")),
        (memoryview(b"content"), ClipParts(file=b"content")),
        (FILE, ClipParts(file=FILE)),
        ({"file": Path("a.mp4"), "emotion": "sad"}, ClipParts(file="a.mp4")),
        (CELL, ClipParts(file=b"content")),
        ({"bytes": None, "path": "a.wav"}, ClipParts(file="a.wav")),
        ({"audio": CELL, "speaker": 3}, ClipParts(file=b"content")),
        ({"audio": None, "path": "a.wav"}, ClipParts(file="a.wav")),
        ({"video": CELL, "audio": SOUND, "path": "b.wav"}, ClipParts(file=b"content")),
        (SOUND, ClipParts(audio=SOUND)),
        ((8000, SOUND), ClipParts(audio=SOUND, sampling_rate=8000)),
        ({"array": SOUND, "sampling_rate": 8000, "path": "a.wav"}, ClipParts(audio=SOUND, sampling_rate=8000)),
        ({"raw": (SOUND, 8000)}, ClipParts(audio=SOUND, sampling_rate=8000)),
        ({"audio": {"array": SOUND, "sampling_rate": 8000}}, ClipParts(audio=SOUND, sampling_rate=8000)),
        ({"audio": (8000.0, SOUND), "sampling_rate": 8000}, ClipParts(audio=SOUND, sampling_rate=8000.0)),
        ({"audio": {"bytes": None, "path": None}}, ClipParts()),
        ({"waveform": None}, ClipParts()),
        ({"faces": CROPS, "fps": 5}, ClipParts(crops=CROPS, fps=5)),
        ({"faces": CROPS, "audio": CELL}, ClipParts(crops=CROPS, audio=b"content")),
        ({"faces": CROPS, "audio": None, "path": "a.wav"}, ClipParts(crops=CROPS)),
        (
            {"frames": CROPS, "path": "a.wav", "face_times": [0]},
            ClipParts(frames=CROPS, audio="a.wav", face_times=[0]),
        ),
    ],
)
def test_forms_of_a_clip(clip, expected):
    assert clip_parts(clip) == expected


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (3, "a clip of type int: give a path, bytes, a waveform"),
        ({}, r"a clip with the keys \[\]: give 'path', or 'waveform' and 'faces'"),
        ({"video": "a.mp4", "waveform": SOUND}, "a clip with a video and a waveform: give one of them"),
        ({"faces": CROPS, "frames": CROPS}, "a clip with face crops and frames: give one of them"),
        ({"audio": (8000, SOUND), "sampling_rate": 16000}, "a waveform of 8000 Hz with sampling_rate=16000: give one"),
        ({"audio": (8000, SOUND), "sampling_rate": "8k"}, "sampling_rate='8k': has to be a whole number"),
        (CROPS, r"a clip of shape \(2, 8, 8, 3\), type uint8, values 0 to 0: images are given as"),
        (torch.zeros(3, 8, 8), r"a clip of shape \(3, 8, 8\)"),
        (Image.new("RGB", (8, 9)), r"a clip of shape \(9, 8, 3\)"),
        (io.StringIO("text"), "a file: is open as text; open it with mode 'rb'"),
    ],
)
def test_what_is_no_clip_is_named(clip, message):
    with pytest.raises(ValueError, match=message):
        clip_parts(clip)


def test_a_file_is_a_name_or_content_or_open():
    assert all(is_file(one) for one in ("a", Path("a"), b"", bytearray(), memoryview(b""), FILE))
    assert not any(is_file(one) for one in (SOUND, [1.0], {"path": "a"}, None, torch.zeros(1)))
