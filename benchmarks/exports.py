"""What a checkpoint loses and gains in half precision, as ONNX and as ONNX with 8-bit weights.

    python benchmarks/exports.py CORPUS [OUT.json] [CHECKPOINT]

Measured on clips of Java-SED video of actors 09 and 10, whom the shipped checkpoint has not seen: the scores, how
often the class is that of the model in single precision, and the time from waveform and face crops to logits. All
variants take each clip in turn, on one thread; the time is the median of their ratios to the model's.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from av_emotion_hf.checkpoints import load_classifier
from av_emotion_hf.data.dataset import encode_labels, open_dataset
from av_emotion_hf.data.reader import ClipReader
from av_emotion_hf.data.schema import SAMPLING_RATE, clip_source
from av_emotion_hf.data.splits import keep_groups
from av_emotion_hf.inference.export import export_onnx
from av_emotion_hf.inference.predictor import DEFAULT_CHECKPOINT
from av_emotion_hf.training.metrics import SCORES, confusion_matrix

SPEAKERS, REPEATS = ("09", "10"), 3


def variants(checkpoint: str, folder: Path) -> tuple[dict, dict]:
    """Functions from inputs to logits, and bytes of the weights, by name of the variant."""
    runs, sizes = {}, {}
    model_class = type(load_classifier(checkpoint)[1].model)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        model = model_class.from_pretrained(checkpoint, dtype=dtype).eval()
        name = str(dtype).removeprefix("torch.")
        runs[name] = torch_runner(model)
        sizes[name] = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    for name, int8 in (("onnx", False), ("onnx int8", True)):
        found = export_onnx(checkpoint, folder / f"{name}.onnx", int8)
        runs[name], sizes[name] = onnx_runner(found["path"]), found["bytes"]
    return runs, sizes


def torch_runner(model):
    """Logits (K,) of a model."""

    def run(inputs: dict[str, torch.Tensor]) -> np.ndarray:
        with torch.no_grad():
            return model(**inputs).logits[0].float().numpy()

    return run


def onnx_runner(path: str):
    """Logits (K,) of an ONNX file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, {name: value.numpy() for name, value in inputs.items()})[0][0]


def read(corpus: str, checkpoint: str) -> tuple[list[dict], list[int], float, list[str]]:
    """Model inputs and labels of the clips, their seconds in all, and the names of the labels."""
    classifier = load_classifier(checkpoint)[1]
    labels = [classifier.model.config.id2label[i] for i in range(classifier.model.config.num_labels)]
    rows = encode_labels(keep_groups(open_dataset(corpus), "speaker", list(SPEAKERS)), "emotion", labels)
    reader, given, truth, seconds = ClipReader("both"), [], [], 0.0
    for row in rows:
        clip = reader.read(clip_source(row))
        sound = clip.waveform if len(clip.waveform) else np.zeros(1, np.float32)
        inputs = classifier.feature_extractor(sound, sampling_rate=SAMPLING_RATE, return_tensors="pt")
        inputs = dict(inputs) | dict(classifier.image_processor([clip.crops], return_tensors="pt"))
        given.append({name: value.long() if "mask" in name else value for name, value in inputs.items()})
        truth.append(row["emotion"])
        seconds += clip.duration
    return given, truth, seconds, labels


def measure(corpus: str, checkpoint: str) -> dict:
    """Scores, agreement, time and size of all variants."""
    torch.set_num_threads(1)
    given, truth, seconds, labels = read(corpus, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        runs, sizes = variants(checkpoint, Path(folder))
        logits = {name: [run(inputs) for inputs in given] for name, run in runs.items()}
        spent = {name: [] for name in runs}
        for _ in range(REPEATS):
            for inputs in given:
                for name, run in runs.items():
                    start = time.perf_counter()
                    run(inputs)
                    spent[name].append(time.perf_counter() - start)
    result = {}
    expected = np.stack(logits["float32"])
    for name, found in logits.items():
        found = np.stack(found)
        confusion = confusion_matrix(truth, found.argmax(-1).tolist(), len(labels))
        ratios = [a / b for a, b in zip(spent[name], spent["float32"], strict=True)]
        result[name] = {
            "uar": round(float(SCORES["uar"](confusion)), 4),
            "same_class": round(float((found.argmax(-1) == expected.argmax(-1)).mean()), 4),
            "max_logit_difference": float(f"{np.abs(found - expected).max():.2g}"),
            "time_ratio": round(statistics.median(ratios), 2),
            "real_time_factor": round(REPEATS * seconds / sum(spent[name]), 1),
            "bytes": sizes[name],
        }
    return {
        "checkpoint": Path(checkpoint).name,
        "clips": len(given),
        "seconds": round(seconds, 1),
        "speakers": list(SPEAKERS),
        "variants": result,
    }


def main() -> None:
    """Measure and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", help="folder of Java-SED video")
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "exports.json")
    parser.add_argument("checkpoint", nargs="?", default=DEFAULT_CHECKPOINT)
    options = parser.parse_args()
    found = measure(options.corpus, options.checkpoint)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
