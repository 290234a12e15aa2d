"""How well persons keep their names: through cuts, side by side, and where they cross.

python benchmarks/persons.py [--shared ../shared]

The recordings are put together from clips with one known person each: of Java-SED's actors, who all sit before the
same wall, and others. `cuts`: one person after the other, 12 shots of three persons. `two-shots`: two persons side by
side, and each alone, in turn. `crossing`: two heads that move through the picture and cover each other in the middle.
The likeness that counts as the same person is chosen on the actors with odd numbers: the middle of those with the
least error. Those with even numbers and the further clips have no part in that. Nothing of the looks is written.
"""

import argparse
import copy
import itertools
import json
import os
import platform
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("TORCH_HOME", str(ROOT.parent / "shared" / "weights" / "torch_home"))

from av_emotion_hf.data import open_dataset  # noqa: E402
from av_emotion_hf.media import load_detector, open_clip, persons  # noqa: E402
from av_emotion_hf.media.appearance import SIDE, appearance, gradients  # noqa: E402
from av_emotion_hf.media.follower import BATCH, FaceFollower  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "persons.json"
FPS = 10
RECORDINGS = 6  # of each kind and half of the actors
LIKENESS = np.round(np.arange(0.78, 0.93, 0.01), 2)
FLAT = 0.005  # errors that are no further from the smallest are the same
NUM_GRADIENTS = len(gradients(np.zeros((SIDE, SIDE), np.float32)))
KINDS = ("cuts", "two-shots", "crossing")


@dataclass
class Recording:
    """Frames, and who is where in each of them: identity and center of the picture part (x, y) in pixels."""

    frames: list[np.ndarray] = field(default_factory=list)
    truth: list[list[tuple[str, float, float]]] = field(default_factory=list)

    def add(self, frames: list[np.ndarray], who: list[list[tuple[str, float, float]]]) -> None:
        """Append frames of the same size."""
        self.frames += frames
        self.truth += who


def frames_of(source, seconds: float = 4.0) -> list[np.ndarray]:
    """The first frames of a clip."""
    found = (frame for _, frames in open_clip(source, fps=FPS).frames() for frame in frames)
    return list(itertools.islice(found, round(seconds * FPS)))


class Clips:
    """Clips of each person, drawn without putting back until all were used."""

    def __init__(self, sources: dict[str, list], draw: np.random.Generator):
        self.sources, self.draw = sources, draw
        self.left: dict[str, list] = {}

    def take(self, person: str, length: int) -> list[np.ndarray]:
        """Frames of a clip of a person, `length` at most."""
        if not self.left.get(person):
            order = self.draw.permutation(len(self.sources[person]))
            self.left[person] = [self.sources[person][i] for i in order]
        return frames_of(self.left[person].pop())[:length]


def cuts(clips: Clips, people: list[str]) -> Recording:
    """Twelve shots of three persons, never the same twice in a row."""
    made, last = Recording(), None
    for _ in range(12):
        person = str(clips.draw.choice([one for one in people[:3] if one != last]))
        frames = clips.take(person, int(clips.draw.integers(15, 40)))
        height, width = frames[0].shape[:2]
        made.add(frames, [[(person, width / 2, height / 2)]] * len(frames))
        last = person
    return made


def two_shots(clips: Clips, people: list[str]) -> Recording:
    """Two persons beside each other, then one of them in the same size, the other, and again."""
    made = Recording()
    for one, two in ((people[0], people[1]), (people[1], people[0])) * 2:
        pair = [clips.take(one, 30), clips.take(two, 30)]
        count = min(map(len, pair))
        both = [np.hstack(frames) for frames in zip(*(part[:count] for part in pair), strict=True)]
        height, width = both[0].shape[:2]
        made.add(both, [[(one, width / 4, height / 2), (two, 3 * width / 4, height / 2)]] * count)
        alone = [np.pad(frame, ((0, 0), (width // 4, width // 4), (0, 0))) for frame in clips.take(one, 30)]
        made.add(alone, [[(one, width / 2, height / 2)]] * len(alone))
    return made


def crossing(clips: Clips, people: list[str]) -> Recording:
    """Two heads that move from side to side, four times; the first covers the second where they meet."""
    made, side = Recording(), 200
    heads = [[head(frame, side) for _ in range(4) for frame in clips.take(one, 40)] for one in people[:2]]
    count = min(map(len, heads))
    for number, (front, back) in enumerate(zip(*(part[:count] for part in heads), strict=True)):
        place = 0.5 - 0.5 * np.cos(number / FPS / 4 * np.pi)  # from 0 to 1 in four seconds, and back
        left, right = round(place * (640 - side)), round((1 - place) * (640 - side))
        canvas = np.full((270, 640, 3), 190, np.uint8)
        canvas[40 : 40 + side, right : right + side] = back
        canvas[40 : 40 + side, left : left + side] = front
        who = [(people[0], left + side / 2, 140.0)]
        if abs(left - right) > 0.6 * side:  # the other face is seen
            who.append((people[1], right + side / 2, 140.0))
        made.add([canvas], [who])
    return made


def head(frame: np.ndarray, side: int) -> np.ndarray:
    """The middle of a frame of Java-SED, where the head is."""
    left = (frame.shape[1] - side) // 2
    return frame[30 : 30 + side, left : left + side]


def others(shared: Path, draw: np.random.Generator) -> Recording:
    """Shots of further clips, each person twice or more: from the parts of one clip, or from several."""
    names = {"grid_s1": "grid 1", "grid_lipnet__bbaf2n": "grid 1"}  # the same speaker
    made, shots = Recording(), []
    for path in sorted((shared / "clips").glob("*_*.m*")):
        if path.name.startswith(("pyfeat__face_noface", "mead_eamm__M030", "ravdess")):
            continue  # one leaves; the others are large
        person = next((name for start, name in names.items() if path.name.startswith(start)), path.name)
        frames = [fitted(frame, 360) for frame in frames_of(path, 6)]
        half = len(frames) // 2
        shots += [(person, frames[:half]), (person, frames[half:])]
    for row in draw.permutation(len(shots)):
        person, frames = shots[row]
        made.add(frames, [[(person, 180.0, 180.0)]] * len(frames))
    return made


def fitted(frame: np.ndarray, side: int) -> np.ndarray:
    """A frame in a black square."""
    import cv2

    scale = side / max(frame.shape[:2])
    small = cv2.resize(frame, (round(frame.shape[1] * scale), round(frame.shape[0] * scale)))
    square = np.zeros((side, side, 3), np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return square


def followed(recording: Recording, detector) -> list:
    """The frames of a recording with the faces in them, not named yet."""
    follower, times = FaceFollower(detector, 16, 0.3), np.arange(len(recording.frames)) / FPS
    found = []
    for first in range(0, len(times), BATCH):
        part = slice(first, first + BATCH)
        found += follower.add(times[part].tolist(), recording.frames[part])
    return found + list(follower.flush())


def score(frames: list, truth: list, likeness: float, part: slice = slice(None)) -> dict[str, float]:
    """Names that were given, beside the truth.

    Args:
        frames: with faces by track.
        truth: of each frame.
        likeness: from which on two looks are of one person.
        part: of the vectors of looks that are used.
    """
    frames = copy.deepcopy(frames)
    for frame in frames:
        for face in frame.faces.values():
            if face.looks is not None:
                kept = np.zeros_like(face.looks)
                kept[part] = face.looks[part]
                face.looks = persons.unit(kept)
    persons.SAME_PERSON = likeness
    given: dict[str, list[str | None]] = {}  # by identity, name after name
    for frame, who in zip(persons.PersonNames().named(iter(frames)), truth, strict=True):
        free = dict(frame.faces)
        for identity, x, y in who:
            centers = {name: (face.box[:2] + face.box[2:4]) / 2 for name, face in free.items()}
            near = min(centers, key=lambda name: np.hypot(*(centers[name] - [x, y])), default=None)
            given.setdefault(identity, []).append(near)
            free.pop(near, None)
    pairs = Counter((identity, name) for identity, names in given.items() for name in names if name is not None)
    named = sum(pairs.values())
    by_name = {name: max(n for (_, own), n in pairs.items() if own == name) for _, name in pairs}
    by_identity = {one: max(n for (own, _), n in pairs.items() if own == one) for one, _ in pairs}
    seen = [[name for name in names if name is not None] for names in given.values()]
    return {
        "faces": sum(map(len, given.values())),
        "named": named,
        "pure": sum(by_name.values()),
        "kept": sum(by_identity.values()),
        "switches": sum(a != b for names in seen for a, b in itertools.pairwise(names)),
        "persons": len(given),
        "names": len(by_name),
    }


def summary(scores: list[dict]) -> dict[str, float]:
    """Recordings as one: fractions of the faces, and counts."""
    total = {name: sum(each[name] for each in scores) for name in scores[0]}
    return {
        "recordings": len(scores),
        "faces": total["faces"],
        "named": round(total["named"] / total["faces"], 4),
        "purity": round(total["pure"] / total["named"], 4),
        "kept": round(total["kept"] / total["named"], 4),
        "switches": total["switches"],
        "persons": total["persons"],
        "names": total["names"],
    }


def error(found: dict) -> float:
    """What is chosen by: fraction of the faces whose name is another's, or not that person's usual one."""
    return 2 - found["purity"] - found["kept"]


def main() -> None:
    """Measure, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of corpora and clips")
    shared = parser.parse_args().shared
    draw, detector = np.random.default_rng(0), load_detector("blazeface")
    sources: dict[str, list] = {}
    for row in open_dataset(str(shared / "data" / "javased_video")):
        sources.setdefault(row["speaker"], []).append(row["video"]["bytes"])
    halves = {"odd": [one for one in sources if int(one) % 2], "even": [one for one in sources if not int(one) % 2]}
    made = {}
    for half, people in halves.items():
        clips = Clips({one: sources[one] for one in people}, draw)
        for kind, build in zip(KINDS, (cuts, two_shots, crossing), strict=True):
            for _ in range(RECORDINGS):
                recording = build(clips, [str(one) for one in draw.permutation(people)])
                made.setdefault((half, kind), []).append((followed(recording, detector), recording.truth))
            print(half, kind, sum(len(truth) for _, truth in made[half, kind]) / FPS, "s", flush=True)
    further = others(shared, draw)
    made["others", "cuts"] = [(followed(further, detector), further.truth)]

    def measure(half: str, kind: str, likeness: float, part: slice = slice(None)) -> dict:
        return summary([score(frames, truth, likeness, part) for frames, truth in made[half, kind]])

    looks = {
        "gradients and colors": slice(None),
        "gradients": slice(NUM_GRADIENTS),
        "colors": slice(NUM_GRADIENTS, None),
    }
    results: dict = {"machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}}
    shipped = persons.SAME_PERSON
    for name, part in looks.items():
        errors = {
            float(likeness): round(float(np.mean([error(measure("odd", kind, likeness, part)) for kind in KINDS])), 4)
            for likeness in LIKENESS
        }
        least = [likeness for likeness, value in errors.items() if value <= min(errors.values()) + FLAT]
        chosen = round(float(np.mean(least)), 3)
        results[name] = {
            "error on odd actors by likeness": errors,
            "chosen": chosen,
            "odd actors": {kind: measure("odd", kind, chosen, part) for kind in KINDS},
            "even actors": {kind: measure("even", kind, chosen, part) for kind in KINDS},
            "others": {"cuts": measure("others", "cuts", chosen, part)},
        }
        print(name, json.dumps(results[name], indent=1), flush=True)
    persons.SAME_PERSON = shipped
    results["shipped"] = shipped
    results["looks, ms"] = looks_ms(detector, next(iter(sources.values()))[0])
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def looks_ms(detector, source) -> float:
    """Milliseconds for the looks of one face, of processor time."""
    frame = frames_of(source)[-1]
    box = detector.detect(frame[None])[0][0]
    begin = time.process_time()
    for _ in range(200):
        appearance(frame, box)
    return round(1000 * (time.process_time() - begin) / 200, 2)


if __name__ == "__main__":
    main()
