import pytest
from datasets import Dataset, Features, Value, Video
from synthetic import grey_frames, voice, write_clip


@pytest.fixture
def clip_files(tmp_path, paste_faces):
    """Three clips of half a second: face and voice, face without sound, voice without face."""
    faces = [paste_faces((100 + i, 40, 140)) for i in range(5)]
    grey = grey_frames([80] * 5, 240, 360)
    sound = voice(0.5, 150)
    return [
        write_clip(tmp_path / "both.mp4", faces, 10, sound, 16_000),
        write_clip(tmp_path / "silent.mp4", faces, 10),
        write_clip(tmp_path / "faceless.mp4", grey, 10, sound, 16_000),
    ]


@pytest.fixture
def clips(clip_files):
    """A corpus of these clips and one that cannot be read."""
    cells = [{"bytes": path.read_bytes(), "path": None} for path in clip_files]
    cells.append({"bytes": b"\x00\x01 no clip", "path": None})
    rows = [
        {"video": cell, "emotion": emotion, "speaker": speaker}
        for cell, emotion, speaker in zip(cells, ["sad", "happy", "sad", "happy"], "aabb", strict=True)
    ]
    features = {"video": Video(decode=False), "emotion": Value("string"), "speaker": Value("string")}
    return Dataset.from_list(rows, features=Features(features))
