"""What hearing with a speech backbone costs, in times real time on one thread, and how much memory long audio takes.

    python benchmarks/speech_backbone.py [--encoder openai/whisper-base=4 ...] [--voice FILE] [--out OUT.json]

Parts and the whole of an audio classifier with random weights behind the encoder, from a waveform in memory, beside
transformers' own feature extractor and encoder, cut to the same layers, which pads every clip to 30 seconds; and
`EmotionPredictor` from file to emotion. The voice is synthesized, or a recording that is repeated to the length.
Processor time; the parts take turns, and the median of the rounds is reported. Peaks of memory are of new processes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from augmentation import voice
from memory import peak_mb
from transformers import WhisperFeatureExtractor, WhisperModel, logging

from av_emotion_hf.checkpoints import build_model, load_speech_encoder
from av_emotion_hf.data.schema import SAMPLING_RATE
from av_emotion_hf.inference.predictor import EmotionPredictor
from av_emotion_hf.media import open_clip

ENCODERS = ["openai/whisper-base=4", "openai/whisper-tiny.en=4"]
ROUNDS = {4: 11, 30: 5, 600: 3}  # by length in seconds
WHISPERS = 30  # seconds
LABELS = ["angry", "happy", "neutral", "sad"]


def save_classifier(encoder: str, layers: int, folder: Path, recording: np.ndarray) -> None:
    """Save an audio classifier that hears with `encoder`; feature statistics are those of the recording."""
    torch.manual_seed(0)
    bundle = build_model("classification", "audio", labels=LABELS, speech_encoder=load_speech_encoder(encoder, layers))
    model = bundle.model.eval()
    with torch.no_grad():
        features = model.audio_encoder.extract_features(torch.from_numpy(recording)[None])[0][0]
    model.audio_encoder.set_feature_statistics(features.mean(0), features.std(0).clamp(min=1e-3))
    model.save_pretrained(folder)
    bundle.processor("audio").save_pretrained(folder)


def parts(model: torch.nn.Module, encoder: str, layers: int, waveform: np.ndarray) -> dict[str, Callable[[], object]]:
    """What is timed of one waveform in memory, by name."""
    batch, lengths = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
    ears = model.audio_encoder
    num_frames = ears.frontend.num_frames(len(waveform))
    extractor = WhisperFeatureExtractor.from_pretrained(encoder)
    peer = WhisperModel.from_pretrained(encoder, encoder_layers=layers, dtype=torch.float32).encoder.eval()

    def padded() -> object:
        mel = extractor(waveform, sampling_rate=SAMPLING_RATE, return_tensors="pt").input_features
        return peer(mel, output_hidden_states=True)

    return {
        "front-end": lambda: ears.frontend.descriptors(batch),
        "backbone": lambda: ears.backbone(batch, lengths, num_frames),
        "classifier": lambda: model(batch),
        "transformers, padded": padded,
    }


def seconds(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median processor time of each; they take turns, and the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            with torch.inference_mode():
                run()
            if number:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def peak(folder: Path, file: Path, window: str) -> int:
    """Peak memory in MB of a new process that predicts one file, by windows of so many seconds or as a `whole`."""
    words = [sys.executable, __file__, "--predict", str(folder), str(file), window]
    return round(float(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def measure(encoder: str, layers: int, recording: np.ndarray, folder: Path) -> dict:
    """Speed by length of the voice, and memory, with one encoder."""
    save_classifier(encoder, layers, folder, recording)
    predictor = EmotionPredictor(str(folder), device="cpu")
    model = predictor.classifier.model
    speeds, files = {}, {}
    for length, rounds in ROUNDS.items():
        waveform = np.resize(recording, length * SAMPLING_RATE)
        runs = parts(model, encoder, layers, waveform) if length <= WHISPERS else {}
        for suffix in ("wav", "flac"):
            files[length, suffix] = file = folder / f"{length}.{suffix}"
            soundfile.write(file, waveform, SAMPLING_RATE)
            runs[f"predict, {suffix}"] = lambda file=file: predictor(str(file))
        speeds[length] = {name: round(length / found, 1) for name, found in seconds(runs, rounds).items()}
        print(encoder, length, speeds[length])
    parameters = sum(weight.numel() for weight in model.audio_encoder.backbone.encoder.parameters())
    return {
        "encoder": Path(encoder).name,
        "layers": layers,
        "million parameters": round(parameters / 1e6, 1),
        "times real time": speeds,
        "peak MB": {
            window: {length: peak(folder, files[length, "wav"], window) for length in (30, 600)}
            for window in ("10", "whole")
        },
    }


def main(encoders: list[str], recording: np.ndarray, out: Path) -> None:
    """Measure with each of the encoders, given as NAME=LAYERS."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()  # of the layers that are left out on purpose
    rows = []
    for each in encoders:
        name, _, layers = each.rpartition("=")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(name, int(layers), recording, Path(folder)))
    facts = {"rounds": ROUNDS, "threads": 1, "torch": torch.__version__, "rows": rows}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", action="append", help="NAME=LAYERS: Hub name or folder of a Whisper, its layers")
    parser.add_argument("--voice", type=Path, help="recording")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speech_backbone.json")
    parser.add_argument("--predict", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.predict:
        torch.set_num_threads(1)
        checkpoint, file, window = given.predict
        EmotionPredictor(checkpoint, window=window if window == "whole" else float(window), device="cpu")(file)
        print(peak_mb())
    else:
        sound = voice(140, 30) if given.voice is None else np.concatenate(list(open_clip(str(given.voice)).audio(10)))
        main(given.encoder or ENCODERS, sound, given.out)
