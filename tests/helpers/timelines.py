"""Timelines drawn at random, that look like those of clips."""

import io

import numpy as np
from PIL import Image

from av_emotion_hf.timeline.answers import answer_of
from av_emotion_hf.timeline.smoothing import smoothed
from av_emotion_hf.timeline.table import FacePicture, Timeline, TimelineRow

LABELS = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")


def make_timeline(
    persons=("person-1", "person-2"),
    seconds=30.0,
    clip="interview.mp4",
    labels=LABELS,
    gaps=((8.0, 12.0),),
    window=4.0,
    hop=1.0,
    abstain=0.4,
    pictures=(),
    has_video=True,
    seed=0,
):
    """A timeline whose persons go from one emotion to another now and then, in windows of a given length.

    Nobody is seen or heard in the windows whose center is in one of `gaps`. A person `None` is a voice alone.
    `pictures` are RGB images of whom the persons take one each.
    """
    draw = np.random.default_rng(seed)
    starts = np.arange(0, max(seconds - window, 0) + 1e-9, hop)
    loudness = -32 + np.cumsum(draw.normal(0, 1.5, len(starts))) * 0.5 + 5 * np.sin(starts / 7)
    rows = []
    for person in persons:
        mood, own = int(draw.integers(len(labels))), []
        for number, start in enumerate(starts):
            end = min(start + window, seconds)
            if draw.random() < 0.08:
                mood = int(draw.integers(len(labels)))
            logits = draw.normal(0, 0.8, len(labels))
            logits[mood] += 1.9 + draw.normal(0, 0.7)
            scores = np.exp(logits) / np.exp(logits).sum()
            is_absent = any(low <= (start + end) / 2 <= high for low, high in gaps)
            voice = 0.0 if is_absent else float(np.clip(0.7 + 0.3 * np.sin(start / 3), 0, 1))
            share = float(np.clip(0.45 + 0.3 * np.sin(start / 5), 0, 1))
            is_seen = has_video and person is not None
            own.append(
                TimelineRow(
                    start=float(start),
                    end=float(end),
                    person=person,
                    scores={} if is_absent else dict(zip(labels, map(float, scores), strict=True)),
                    face_coverage=None if not has_video else 0.0 if is_absent or not is_seen else 0.95,
                    voice_coverage=voice,
                    shares={} if is_absent else {"audio": share, "image": 1 - share} if is_seen else {"audio": 1.0},
                    loudness=None if is_absent else float(loudness[number]),
                    pitch=None if is_absent else float(180 + 30 * np.sin(start / 4)),
                    num_persons=None if not has_video else 0 if is_absent or not is_seen else len(persons),
                )
            )
        rows += smoothed(own, 2.0)
    rows = [_answered(row, abstain) for row in rows]
    rows.sort(key=lambda row: (row.start, persons.index(row.person)))
    times = np.linspace(0.5, seconds - 0.5, 8)
    return Timeline(
        clip=clip,
        duration=float(seconds),
        labels=tuple(labels),
        rows=rows,
        settings={"window": window, "hop": hop, "smoothing": 2.0, "abstain": abstain, "hysteresis": 0.1, "fps": 10.0,
                  "detector": "blazeface", "person": "all", "channels": False, "segments": None},
        model={"name": "av-emotion-base", "sha256": "4fe1" * 16},
        has_video=has_video,
        pictures={
            person: [FacePicture(float(time), jpeg_of(image)) for time in times]
            for person, image in zip([one for one in persons if one is not None], pictures, strict=False)
        },
    )  # fmt: skip


def _answered(row, abstain):
    from dataclasses import replace

    if not row.scores:
        return row
    return replace(row, emotion=answer_of(row.scores, abstain), confidence=max(row.scores.values()))


def jpeg_of(image):
    """RGB pixels (height, width, 3) uint8 as the content of a JPEG file."""
    target = io.BytesIO()
    Image.fromarray(image).save(target, "JPEG", quality=85)
    return target.getvalue()
