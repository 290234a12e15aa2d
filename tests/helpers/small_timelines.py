"""Timelines of a few rows, whose every value is written down."""

from av_emotion_hf.timeline.answers import answer_of
from av_emotion_hf.timeline.table import Timeline, TimelineRow

LABELS = ("angry", "happy", "sad")
ODD = 'Ännchen <&> "T"\tx\ny'  # a name as no format wants it
ODD_LINE = 'Ännchen <&> "T" x y'  # in one line


def row(start, end, scores=None, person="person-1", abstain=0.0, **fields):
    """A row with the probabilities of `LABELS`, or of a window in which nothing is seen or heard."""
    named = dict(zip(LABELS, scores, strict=True)) if scores else {}
    confidence = max(scores) if scores else None
    return TimelineRow(start, end, person, answer_of(named, abstain), confidence, named, **fields)


def timeline_of(rows, duration=None, given=False, clip="talk.mp4", **fields):
    """The timeline of rows whose segments are those of the rows, by default without abstaining and hysteresis."""
    settings = {
        "window": 2.0,
        "hop": 2.0,
        "abstain": 0.0,
        "hysteresis": 0.0,
        "segments": "turns.csv" if given else None,
    }
    fields["settings"] = settings | fields.pop("settings", {})
    last = max((one.end for one in rows), default=0.0)
    model = {"name": "av-emotion-base", "sha256": "0" * 64}
    return Timeline(clip, last if duration is None else duration, LABELS, list(rows), model=model, **fields)


def interview():
    """Eight seconds: a person who is not seen in the third window, one with an odd name, and a voice from nowhere."""
    return timeline_of(
        [
            row(
                0.0,
                2.0,
                (0.71239, 0.2, 0.08761),
                face_coverage=1.0,
                voice_coverage=0.5,
                shares={"audio": 0.4, "image": 0.6},
                loudness=-23.449,
                pitch=181.26,
                num_persons=2,
            ),
            row(0.0, 2.0, (0.1, 0.2, 0.7), ODD, face_coverage=0.25, voice_coverage=0.5, shares={"image": 1.0}),
            row(2.0, 4.0, (0.6, 0.3, 0.1), face_coverage=0.5, voice_coverage=0.0, num_persons=1),
            row(4.0, 6.0, face_coverage=0.0, voice_coverage=0.0, num_persons=0),
            row(6.0, 7.5004, (0.2, 0.5, 0.3), None, voice_coverage=1.0, shares={"audio": 1.0}, num_persons=0),
        ],
        duration=8.0,
    )


# what the segments of `interview` are
STRETCHES = [
    (0.0, 4.0, "person-1", "angry", 0.656),
    (0.0, 2.0, ODD_LINE, "sad", 0.7),
    (6.0, 7.5, "voice", "happy", 0.5),
]


def turns():
    """Given segments of two persons that speak at the same time, one of whom is neither seen nor heard once."""
    return timeline_of(
        [
            row(0.5, 2.25, (0.7, 0.2, 0.1), "Anna", text='So "no" & <b>'),
            row(2.0, 3.0, (0.1, 0.8, 0.1), "Ben"),
            row(3.0, 4.0, None, "Anna", text="über"),
        ],
        duration=5.0,
        given=True,
    )


def example():
    """What the page about formats shows: two persons, of whom one is seen from the third second on."""
    seen = {"face_coverage": 1.0, "voice_coverage": 0.9, "loudness": -23.4, "pitch": 181.3}
    return timeline_of(
        [
            row(0.0, 2.0, (0.71, 0.2, 0.09), shares={"audio": 0.4, "image": 0.6}, num_persons=1, **seen),
            row(2.0, 4.0, (0.21, 0.64, 0.15), shares={"audio": 0.3, "image": 0.7}, num_persons=2, **seen),
            row(2.0, 4.0, (0.1, 0.15, 0.75), "person-2", face_coverage=0.5, shares={"image": 1.0}, num_persons=2),
            row(4.0, 6.0, face_coverage=0.0, voice_coverage=0.0, num_persons=0),
        ],
        duration=6.0,
    )
