"""Whether crops in which the eyes are level are recognized better: emotion from faces of Java-SED, as JSON.

    TORCH_HOME=WEIGHTS python benchmarks/aligned_faces.py [--shared ../shared]

The features of the shipped expression backbone, their mean and deviation over a clip, and two heads, leaving one actor
out at a time. The eyes are those of MTCNN's last network, smoothed over five frames. Variants: the crops as they are;
turned around the middle of the box; and put so that both eyes are where they are on average.
"""

import argparse
import json
import os
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from scipy.stats import t as student  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import recall_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC  # noqa: E402

from av_emotion_hf import DEFAULT_CHECKPOINT  # noqa: E402
from av_emotion_hf.checkpoints import build_model  # noqa: E402
from av_emotion_hf.data import FeatureReader, open_dataset  # noqa: E402
from av_emotion_hf.media import crop_square, load_detector, open_clip, track_faces  # noqa: E402
from av_emotion_hf.media.mtcnn import TO_HAIRLINE, squared  # noqa: E402
from av_emotion_hf.media.tracks import SMOOTHING  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "aligned_faces.json"
CROP = 112
HEADS = {
    "RBF-SVM": lambda: SVC(C=10),
    "logistic regression": lambda: LogisticRegression(C=0.01, max_iter=2000),
}


def eyes_of(mtcnn, frames: list[np.ndarray], boxes: np.ndarray) -> np.ndarray:
    """Both eyes (n, 2, 2), left one in the picture first, in pixels of the frames."""
    squares = squared(np.hstack([boxes, np.ones((len(boxes), 1))]), *TO_HAIRLINE)
    windows = [crop_square(frame, square[:4], 48, margin=0) for frame, square in zip(frames, squares, strict=True)]
    answers = mtcnn._run("decide", windows)[:, :, 0, 0]
    eyes = np.stack([answers[:, [5, 6]], answers[:, [10, 11]]], axis=2)
    eyes = squares[:, None, :2] + eyes * (squares[:, 2:4] - squares[:, :2])[:, None]
    padded = np.pad(eyes, ((2, 2), (0, 0), (0, 0)), mode="edge")
    return sum(weight * padded[i : i + len(eyes)] for i, weight in enumerate(SMOOTHING)) / SMOOTHING.sum()


def turned(frame: np.ndarray, eyes: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame turned around a center until the eyes are level, and the eyes in it."""
    degrees = np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
    matrix = cv2.getRotationMatrix2D(tuple(center), degrees, 1.0)
    frame = cv2.warpAffine(frame, matrix, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return frame, eyes @ matrix[:, :2].T + matrix[:, 2]


def collect(shared: Path) -> tuple[list[dict], np.ndarray, np.ndarray]:
    """Frames, boxes and eyes of every clip, its emotions and its speakers."""
    detector = load_detector("blazeface")
    clips, emotions, speakers = [], [], []
    for row in open_dataset(str(shared / "data" / "javased_video")):
        clip = open_clip(row["video"]["bytes"])
        track = track_faces(clip, detector)
        seen = set(track.timestamps.tolist())
        pairs = (pair for times, some in clip.frames() for pair in zip(times.tolist(), some.copy(), strict=True))
        frames = [frame for time, frame in pairs if time in seen]
        eyes = eyes_of(detector._mtcnn, frames, track.boxes)
        clips.append({"frames": frames, "boxes": track.boxes, "eyes": eyes})
        emotions.append(row["emotion"])
        speakers.append(row["speaker"])
    return clips, np.array(emotions), np.array(speakers)


def crops_of(clip: dict, variant: str, framing: tuple[float, np.ndarray]) -> list[np.ndarray]:
    """Crops of a clip; `framing`: side of the box and its center from between the eyes, in distances of the eyes."""
    crops = []
    for frame, box, eyes in zip(clip["frames"], clip["boxes"], clip["eyes"], strict=True):
        if variant != "as they are":
            frame, eyes = turned(frame, eyes, (box[:2] + box[2:]) / 2)
        if variant == "eyes in place":
            distance = np.linalg.norm(eyes[1] - eyes[0])
            center, half = eyes.mean(axis=0) + framing[1] * distance, framing[0] * distance / 2
            box = np.concatenate([center - half, center + half])
        crops.append(crop_square(frame, box, CROP))
    return crops


def main() -> None:
    """Measure all variants and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of corpora and clips")
    clips, emotions, speakers = collect(parser.parse_args().shared)
    boxes, eyes = (np.concatenate([clip[name] for clip in clips]) for name in ("boxes", "eyes"))
    distances = np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1)
    centers = ((boxes[:, :2] + boxes[:, 2:]) / 2 - eyes.mean(axis=1)) / distances[:, None]
    framing = float(((boxes[:, 2] - boxes[:, 0]) / distances).mean()), centers.mean(axis=0)
    angles = np.degrees(np.arctan2(*(eyes[:, 1] - eyes[:, 0]).T[::-1]))
    image = build_model("pretraining", "image", [DEFAULT_CHECKPOINT])
    reader = FeatureReader(image_model=image.model.base_model.eval(), image_processor=image.image_processor)
    recalls = {}
    for variant in ("as they are", "eyes level", "eyes in place"):
        features = [
            reader(np.zeros(0, np.float32), crops_of(clip, variant, framing))["image_features"] for clip in clips
        ]
        table = np.stack([np.concatenate([each.mean(axis=0), each.std(axis=0)]) for each in map(np.asarray, features)])
        for name, head in HEADS.items():
            recalls.setdefault(name, {})[variant] = leave_one_out(head, table, emotions, speakers)
    results = {
        "clips": len(clips),
        "frames": len(eyes),
        "tilt of the eyes, degrees": {
            "median, absolute": round(float(np.median(np.abs(angles))), 1),
            "95 %": round(float(np.quantile(np.abs(angles), 0.95)), 1),
        },
        "UAR %, leaving one actor out": {name: summary(found) for name, found in recalls.items()},
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=1))


def leave_one_out(head, table: np.ndarray, emotions: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """UAR in percent of each actor, whom the head has not met."""
    scores = []
    for actor in np.unique(speakers):
        test = speakers == actor
        model = make_pipeline(StandardScaler(), head()).fit(table[~test], emotions[~test])
        scores.append(100 * recall_score(emotions[test], model.predict(table[test]), average="macro"))
    return np.array(scores)


def summary(recalls: dict[str, np.ndarray]) -> dict:
    """Means over the actors, and paired differences to the crops as they are with their interval of 95 %."""
    plain = recalls["as they are"]
    found = {"as they are": round(float(plain.mean()), 1)}
    for variant, scores in recalls.items():
        if variant != "as they are":
            gains = scores - plain
            reach = student.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
            found[variant] = round(float(scores.mean()), 1)
            found[f"gain of {variant}"] = [round(float(gains.mean() + side * reach), 1) for side in (-1, 0, 1)]
    return found


if __name__ == "__main__":
    main()
