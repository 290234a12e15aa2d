"""Which faces detectors find in frames that were annotated by hand, and what they take for a face; as JSON.

    TORCH_HOME=WEIGHTS python benchmarks/face_detection.py ../shared/clips [MORE FOLDERS] [--detectors NAME ...]

Needs the weights of both ranges of BlazeFace.

`face_annotations.json` says how the frames were chosen and annotated. A face counts as found if a box has at least 0.4
of the union with it in common; each box answers for one face, the best pairs first. Any other box is a false alarm,
unless its center is in a part that was too blurred to annotate. Frames of clips that are in none of the folders are
left out, and their number is in the results.
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from former_detectors import BothRanges, Cascade, Tiles  # noqa: E402
from PIL import Image  # noqa: E402

from av_emotion_hf.media import load_detector, open_clip  # noqa: E402

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "face_detection.json"
DETECTORS = {
    "blazeface": lambda: load_detector("blazeface"),
    "mtcnn": lambda: load_detector("mtcnn"),
    "before: blazeface, both ranges": BothRanges,
    "before: cascade": Cascade,
    "tried: long range on tiles": Tiles,
}
MIN_OVERLAP = 0.4  # of the union
HEIGHTS = {"below 24": (0, 24), "24 to 48": (24, 48), "above 48": (48, np.inf)}  # pixels
COVERS = {"mouth": (0, 0.55, 1, 1), "eyes": (0, 0.15, 1, 0.55)}  # parts of the face's box


def frame_of(entry: dict, folders: list[Path], read: dict) -> np.ndarray | None:
    """The frame of an annotation (H, W, 3) uint8; None if no folder has its clip."""
    name = entry["clip"]
    if name not in read:
        read.clear()  # one clip in memory
        read[name] = _read(name, folders)
    if read[name] is None:
        return None
    times, frames = read[name]
    frame = frames[int(np.abs(times - entry["time"]).argmin())]
    assert list(frame.shape[1::-1]) == entry["size"], f"{name}: {frame.shape}"
    x0, y0, x1, y1 = entry.get("crop", (0, 0, *entry["size"]))
    return np.ascontiguousarray(frame[y0:y1, x0:x1])


def _read(name: str, folders: list[Path]) -> tuple[np.ndarray, list[np.ndarray]] | None:
    if name.startswith("skimage/"):
        file = Path(importlib.util.find_spec("skimage").origin).parent / "data" / name.removeprefix("skimage/")
        return np.zeros(1), [np.array(Image.open(file).convert("RGB"))]
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        return None
    batches = [(times, list(frames.copy())) for times, frames in open_clip(path).frames()]
    return np.concatenate([times for times, _ in batches]), [frame for _, frames in batches for frame in frames]


def copies_of(copies: list[dict], shown: dict[int, tuple[np.ndarray, dict]]) -> list[tuple[str, np.ndarray, dict]]:
    """Kind, frame and annotation of each altered copy whose frames are there."""
    made = []
    for number, copy in enumerate(copies):
        if "mosaic" in copy:
            if all(index in shown for index in copy["mosaic"]):
                made.append(("mosaic", *_mosaic(copy, [shown[index] for index in copy["mosaic"]])))
        elif copy["of"] in shown:
            frame, entry = shown[copy["of"]]
            if "scale" in copy:
                small = cv2.resize(frame, None, fx=copy["scale"], fy=copy["scale"], interpolation=cv2.INTER_AREA)
                made.append(("scale", small, _moved(entry, copy["scale"], 0, 0)))
            elif "gain" in copy:
                noise = np.random.default_rng(number).normal(0, 2, frame.shape)
                dark = np.clip(np.rint(frame * copy["gain"] + noise), 0, 255).astype(np.uint8)
                made.append((f"gain {copy['gain']}", dark, entry))
            else:
                made.append((f"cover {copy['cover']}", _covered(frame, entry, COVERS[copy["cover"]]), entry))
    return made


def _moved(entry: dict, scale: float, x: float, y: float) -> dict:
    """The annotation of a frame that was scaled and then put at x, y."""

    def move(box: list[float]) -> list[float]:
        return [box[0] * scale + x, box[1] * scale + y, box[2] * scale + x, box[3] * scale + y]

    faces = [face | {"box": move(face["box"])} for face in entry["faces"]]
    return entry | {"faces": faces, "ignore": [move(box) for box in entry.get("ignore", [])]}


def _mosaic(copy: dict, parts: list[tuple[np.ndarray, dict]]) -> tuple[np.ndarray, dict]:
    width, height = copy["size"]
    columns = copy["columns"]
    rows = len(parts) // columns
    canvas = np.zeros((height, width, 3), np.uint8)
    entries = []
    for number, (frame, entry) in enumerate(parts):
        x, y = number % columns * (width // columns), number // columns * (height // rows)
        scale = min(width // columns / frame.shape[1], height // rows / frame.shape[0])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
        entries.append(_moved(entry, scale, x, y))
    faces = [face for entry in entries for face in entry["faces"]]
    return canvas, {"faces": faces, "half": entries[0]["half"]}


def _covered(frame: np.ndarray, entry: dict, part: tuple[float, float, float, float]) -> np.ndarray:
    frame = frame.copy()
    for face in entry["faces"]:
        x0, y0, x1, y1 = face["box"]
        left, top, right, bottom = (
            round(low + (high - low) * share)
            for (low, high), share in zip(((x0, x1), (y0, y1)) * 2, part, strict=True)
        )
        frame[top:bottom, left:right] = 120
    return frame


def compare(found: np.ndarray, entry: dict) -> tuple[list[bool], int]:
    """Which of the faces of an annotation were found, and the number of false alarms."""
    boxes = [face["box"] for face in entry["faces"]]
    overlaps = np.array([[_overlap(box, other) for other in found] for box in boxes]).reshape(len(boxes), len(found))
    seen, free = [False] * len(boxes), set(range(len(found)))
    while overlaps.size and overlaps.max() >= MIN_OVERLAP:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        seen[row] = True
        free.discard(int(column))
        overlaps[row], overlaps[:, column] = 0, 0
    return seen, sum(not _is_ignored(found[column], entry) for column in free)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def _is_ignored(box: np.ndarray, entry: dict) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in entry.get("ignore", []))


def measure(detector, pictures: list[tuple[str, np.ndarray, dict]]) -> dict:
    """Recall and false alarms of a detector over (kind, frame, annotation), for both halves of the clips."""
    faces = defaultdict(lambda: defaultdict(list))
    alarms = defaultdict(lambda: defaultdict(list))
    milliseconds = []
    for kind, frame, entry in pictures:
        begin = time.process_time()
        (found,) = detector.detect(frame[None])
        milliseconds.append(1000 * (time.process_time() - begin))
        seen, false = compare(found, entry)
        half = entry["half"]
        for face, is_seen in zip(entry["faces"], seen, strict=True):
            height = face["box"][3] - face["box"][1]
            size = next(name for name, (low, high) in HEIGHTS.items() if low <= height < high)
            marks = (
                [kind, size]
                + (["above 24"] if height >= 24 else [])
                + (face.get("is", []) if kind == "frames" else [])
            )
            for mark in marks:
                faces[mark][half].append(is_seen)
        alarms["frames with faces" if entry["faces"] else "frames without"][half].append(false)
    return {
        "recall": {mark: _shares(halves) for mark, halves in sorted(faces.items())},
        "false alarms per frame": {name: _shares(halves) for name, halves in alarms.items()},
        "ms per frame, mean": round(statistics.mean(milliseconds), 1),
    }


def _shares(halves: dict[str, list]) -> dict:
    both = [*halves["a"], *halves["b"]]
    return {"n": len(both), "all": round(float(np.mean(both)), 3)} | {
        half: round(float(np.mean(values)), 3) for half, values in sorted(halves.items()) if values
    }


def main() -> None:
    """Measure the detectors asked for and put them into the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of clips")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    options = parser.parse_args()
    annotations = json.loads((HERE / "face_annotations.json").read_text())
    read, shown = {}, {}
    for number, entry in enumerate(annotations["frames"]):
        frame = frame_of(entry, options.folders, read)
        if frame is not None:
            shown[number] = (frame, entry)
    pictures = [("frames", *each) for each in shown.values()] + copies_of(annotations["copies"], shown)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"detectors": {}}
    results["frames"] = {"annotated": len(shown), "left out": len(annotations["frames"]) - len(shown)}
    results["frames"]["copies"] = len(pictures) - len(shown)
    for name in options.detectors:
        results["detectors"][name] = measure(DETECTORS[name](), pictures)
        print(name, json.dumps(results["detectors"][name], indent=1))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
