import numpy as np
import pytest
from helpers.scripted_faces import scenes

from av_emotion_hf.media import track_faces
from av_emotion_hf.media.live_faces import LiveFaces
from av_emotion_hf.models.persons_av_emotion import ALL

SHOTS = [(15, [("ann", 10, 50, 50)]), (13, [("bob", 120, 50, 40), ("ann", 10, 50, 50)]), (15, [("bob", 60, 45, 56)])]


@pytest.fixture
def images():
    """A clip in memory, its frames with their times, and what finds the faces in them."""
    clip, detector = scenes(SHOTS)
    return clip, list(zip(clip.times.tolist(), clip.images, strict=True)), detector


def followed(faces):
    """Time, name and box of each face."""
    return [(one.time, name, *face.box.tolist()) for one in faces for name, face in sorted(one.faces.items())]


def lived(frames, detector, sizes, fps=10):
    faces, at = LiveFaces(fps, detector, 32), 0
    for size in sizes:
        faces.add(faces.check(frames[at : at + size]))
        at += size
    faces.flush()
    return faces


@pytest.mark.parametrize("sizes", [[43], [1] * 43, [5, 0, 17, 2, 19], [22, 21]])
def test_faces_are_those_of_a_clip(images, sizes):
    clip, frames, detector = images
    expected = track_faces(clip, detector, 32, person=ALL)
    found = lived(frames, detector, sizes).cut(0, np.inf)
    assert [one.time for one in found] == pytest.approx(expected.frame_times)
    rows = [(time, name) for time, name in zip(expected.timestamps.tolist(), expected.persons, strict=True)]
    assert [(time, name) for time, name, *_ in followed(found)] == sorted(rows)
    assert {name for _, name in rows} == {"person-1", "person-2"}


def test_a_stop_does_not_change_names(images):
    _, frames, detector = images
    faces = LiveFaces(10, detector, 32)
    faces.add(faces.check(frames[:20]))
    assert faces.end < 1.5
    faces.flush(4.0)
    assert faces.end == 4 and [one.time for one in faces.cut(0, np.inf)] == pytest.approx(np.arange(20) / 10)
    later = [(time + 3, image) for time, image in frames[20:]]
    faces.add(faces.check(later))
    faces.flush()
    names = {round(one.time, 1): sorted(one.faces) for one in faces.cut(0, np.inf)}
    assert names[1.0] == ["person-1"] and names[1.7] == names[5.5] == ["person-1", "person-2"]
    assert names[6.5] == ["person-2"]


def test_only_so_many_frames_are_looked_at(images):
    _, frames, detector = images
    found = lived(frames, detector, [43], fps=5).cut(0, np.inf)
    assert [one.time for one in found] == pytest.approx(np.arange(22) / 5)


def test_the_clock_starts_with_the_first_frame(images):
    _, frames, detector = images
    found = lived([(time + 7.03, image) for time, image in frames], detector, [43]).cut(0, np.inf)
    assert [one.time for one in found] == pytest.approx(7.03 + np.arange(43) / 10)
    faces = lived(frames, detector, [43])
    faces.drop_before(3.0)
    assert [one.time for one in faces.cut(0, 3.5)] == pytest.approx([3.0, 3.1, 3.2, 3.3, 3.4])
