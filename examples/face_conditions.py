"""How well a face is recognized by its size, sharpness, brightness and pose, as the package measures them.

    python examples/face_conditions.py NETWORK FACES MODEL CLIPS --out examples/results/face.json

NETWORK is an expression recognizer (`train-expression`), FACES a dataset with a `test` split of labeled pictures,
MODEL what `face_model.py` made of the network, and CLIPS a dataset of clips whose `emotion` is known.

- `copies`: accuracy and UAR of the network on the test pictures, and on copies that are smaller, blurred, darker or
  brighter, or tilted, with what `measure_faces` says of them on average.
- `faces`: its accuracy on the pictures as they are, in four groups of the same size by each measure.
- `clips`: accuracy of the model on the clips, in four groups by the median of each measure over the crops of a clip;
  the answer is the one with the highest score among the emotions of the clips. Groups differ by the people in them as
  well. `calibration` says how sure it is of all its classes in these clips, and how often it is right.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from collect_results import write_json
from expression_network import ExpressionNetwork, Faces
from probes import uar
from tqdm.auto import tqdm

from av_emotion_hf import (
    AVEmotionImageForSequenceClassification,
    AVEmotionImageProcessor,
    load_detector,
    open_clip,
    open_dataset,
    track_faces,
)
from av_emotion_hf.media import measure_faces
from av_emotion_hf.training import expected_calibration_error, probabilities, reliability

SIDES = (32, 24, 16, 12)  # pixels
BLURS = (0.5, 1.0, 2.0, 3.0)  # deviation of a Gaussian, in pixels
LIGHTS = (0.1, 0.25, 0.5, 1.5, 2.0)  # factors on all values
TILTS = (10, 20, 30, 45)  # degrees
GROUPS = 4
MEASURED = 500  # pictures of a copy that are measured
DIGITS = 4


def smaller(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture of so many pixels."""
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A picture out of focus."""
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def lit(picture: np.ndarray, factor: float) -> np.ndarray:
    """A picture in another light, with 8 bits and no more."""
    return (picture.astype(np.float32) * factor).round().clip(0, 255).astype(np.uint8)


def tilted(picture: np.ndarray, degrees: float) -> np.ndarray:
    """A picture with the head on one side."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


# what is done: how, how much, and how that is called
CHANGES: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], tuple[float, ...], str]] = {
    "smaller": (smaller, SIDES, "{} x {} pixels"),
    "blurred": (blurred, BLURS, "by {} pixels"),
    "darker or brighter": (lit, LIGHTS, "times {}"),
    "tilted": (tilted, TILTS, "by {} degrees"),
}


def groups(values: np.ndarray, right: np.ndarray) -> list[dict[str, float | int]]:
    """Fraction of what is right `(N,)` in groups of about the same size by a measure `(N,)`, lowest first."""
    rows = np.array_split(np.argsort(values, kind="stable"), GROUPS)
    return [
        {
            "lower": round(float(values[own].min()), DIGITS),
            "upper": round(float(values[own].max()), DIGITS),
            "count": len(own),
            "accuracy": round(float(right[own].mean()), DIGITS),
        }
        for own in rows
    ]


def copies(network: ExpressionNetwork, faces: Faces) -> tuple[list[dict], np.ndarray]:
    """Scores on pictures as they are and on each copy; and which of them as they are `(N,)` are recognized."""
    classes, results, right = network.classes(faces.labels), [], np.zeros(0)
    jobs = [("as they are", "", lambda picture: picture)]
    jobs += [
        (name, words.format(*[how_much] * words.count("{}")), lambda each, do=do, by=how_much: do(each, by))
        for name, (do, amounts, words) in CHANGES.items()
        for how_much in amounts
    ]
    for name, how_much, change in tqdm(jobs, desc="Copies"):
        pictures = [change(picture) for picture in faces.pictures]
        answers = network.logits(network.features(pictures)).argmax(1)
        if not results:
            right = answers == classes
        measured = measure_faces(pictures[:MEASURED])
        results.append(
            {
                "change": name,
                "amount": how_much,
                "accuracy": round(float((answers == classes).mean()), DIGITS),
                "uar": round(uar(classes, answers), DIGITS),
                "measured": {key: round(float(values.mean()), 3) for key, values in measured.items()},
            }
        )
    return results, right


@torch.no_grad()
def of_clips(folder: str, dataset: str, detector_name: str) -> dict[str, dict]:
    """Accuracy of a model on clips, in groups by each measure; and its calibration."""
    model = AVEmotionImageForSequenceClassification.from_pretrained(folder).eval()
    processor, detector = AVEmotionImageProcessor.from_pretrained(folder), load_detector(detector_name)
    rows = open_dataset(dataset, "train")
    names = rows.features["emotion"].names
    kept = [model.config.label2id[name] for name in names]
    found, logits, classes = [], [], []
    for row in tqdm(rows, desc="Clips"):
        face = track_faces(open_clip(row["video"]["bytes"], fps=10), detector)
        if not len(face.crops):
            continue
        logits.append(model(**processor([face.crops], return_tensors="pt")).logits[0].numpy())
        classes.append(kept[row["emotion"]])
        found.append({name: np.median(values) for name, values in measure_faces(face.crops, face.boxes).items()})
    of_all, truth = np.stack(logits), np.array(classes)
    right = np.array(kept)[of_all[:, kept].argmax(1)] == truth
    values = {name: np.array([each[name] for each in found]) for name in found[0]}
    scores = probabilities(of_all)
    return {
        "clips": {name: groups(each, right) for name, each in values.items()},
        "calibration": {
            "clips": len(truth),
            "without_a_face": len(rows) - len(truth),
            "ece": round(expected_calibration_error(scores, truth), DIGITS),
            "reliability": reliability(scores, truth),
        },
    }


def main() -> None:
    """Measure, and write the results beside those of the protocols."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network")
    parser.add_argument("faces")
    parser.add_argument("model")
    parser.add_argument("clips")
    parser.add_argument("--detector", default="blazeface")
    parser.add_argument("--most", type=int, help="test pictures; all of them by default")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    network, faces = ExpressionNetwork(args.network), Faces.read(args.faces, "test", args.most)
    results, right = copies(network, faces)
    measured = measure_faces(faces.pictures)
    conditions = {
        "count": len(faces.labels),
        "copies": results,
        "faces": {name: groups(values, right) for name, values in measured.items()},
    } | of_clips(args.model, args.clips, args.detector)
    written = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    write_json(args.out, written | {"conditions": conditions}, indent=1)
    print(json.dumps(conditions))


if __name__ == "__main__":
    main()
