"""Vectors of the clips of a dataset of voices, computed once: a fold of an experiment then costs seconds.

    python examples/voice_vectors.py NAME=DATASET... --out VECTORS --speech-encoder openai/whisper-base

Writes VECTORS/NAME.npz for each dataset (columns `audio`, `emotion`, `speaker`, and `gender`, `language` if it has
them). Of each clip: mean and deviation of its voiced frames, and the moments of those frames that count in the
statistics of the dataset or of a person. A model with `pool_features` and `pool_voiced` needs no more of it in front
of its classifier. With `--copies` the same of augmented copies. Two controls have files of their own: `--random`
writes NAME_random.npz, vectors of an encoder with random weights, and `--functionals` NAME_functionals.npz, the 88
functionals of eGeMAPS.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from datasets import ClassLabel
from tqdm.auto import tqdm

from av_emotion_hf import (
    AVEmotionAudioModel,
    FeatureReader,
    acoustic_functionals,
    load_speech_encoder,
    open_clip,
    open_dataset,
)
from av_emotion_hf.data import augment_waveform

SAMPLING_RATE = 16000
SUMS = 3  # of layers, side by side: the last three
FEWEST_VOICED = 5  # frames; of clips with fewer all frames are described, as by the model
AUGMENTATIONS = {"speed": 0.5, "pitch": 0.3, "reverb": 0.5, "noise": 0.5, "gain": 0.5, "telephone": 0.15, "opus": 0.2}


def describe(encoder: AVEmotionAudioModel, waveform: np.ndarray) -> dict[str, np.ndarray]:
    """`voiced` (2, F): mean and deviation of the voiced frames; `moments` (3, F): count, mean, squares that count."""
    frames = encoder.extract_features(torch.from_numpy(waveform)[None])[0][0]
    cells = encoder.counted_cells(frames)
    counts = cells.sum(0)
    mean = (frames * cells).sum(0) / counts.clamp(min=1)
    squares = ((frames - mean).square() * cells).sum(0)
    is_voiced = frames[:, encoder.frontend.voicing_column] > 0.5
    if is_voiced.sum() < FEWEST_VOICED:
        is_voiced = torch.ones_like(is_voiced)
    voiced = torch.stack([frames[is_voiced].mean(0), frames[is_voiced].std(0, unbiased=False)])
    voiced[:, ~encoder.defined_cells(frames)[is_voiced].all(0)] = torch.nan  # the mean after standardization
    return {"voiced": voiced.numpy(), "moments": torch.stack([counts, mean, squares]).numpy()}


def vectors_of(encoder: AVEmotionAudioModel | None, dataset, copies: int) -> dict[str, np.ndarray]:
    """Arrays of all clips, those of the copies with `_copies` (N, copies, ...); without an encoder `functionals`."""
    found: dict[str, list] = {}
    for number, row in enumerate(tqdm(dataset, unit="clip")):
        waveform = open_clip(row["audio"]["bytes"]).waveform
        if encoder is None:
            values = acoustic_functionals(waveform, SAMPLING_RATE).values()
            found.setdefault("functionals", []).append(np.array(list(values), dtype=np.float32))
            continue
        one = describe(encoder, waveform) | {"seconds": len(waveform) / SAMPLING_RATE}
        changed = []
        for copy in range(copies):
            torch.manual_seed(1000 * number + copy)
            changed.append(describe(encoder, augment_waveform(torch.from_numpy(waveform), AUGMENTATIONS).numpy()))
        if changed:
            one |= {f"{name}_copies": np.stack([each[name] for each in changed]) for name in changed[0]}
        for name, value in one.items():
            found.setdefault(name, []).append(np.asarray(value, dtype=np.float32))
    return {name: np.stack(values) for name, values in found.items()}


def new_encoder(name: str, layers: int, is_random: bool) -> AVEmotionAudioModel:
    """The frozen part of the audio model: front-end and speech encoder, this with random weights if asked for."""
    torch.manual_seed(0)
    backbone = load_speech_encoder(name, layers)
    reader = FeatureReader.from_checkpoints("audio", speech_encoder=backbone, config_overrides={"backbone_sums": SUMS})
    if not is_random:
        return reader.audio_model
    return AVEmotionAudioModel(reader.audio_model.config).eval()


@torch.no_grad()
def main() -> None:
    """Measure the datasets whose file is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", help="NAME=DATASET")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speech-encoder", default="openai/whisper-base")
    parser.add_argument("--speech-layers", type=int, default=4)
    parser.add_argument("--copies", type=int, default=0)
    parser.add_argument("--random", dest="control", action="store_const", const="random")
    parser.add_argument("--functionals", dest="control", action="store_const", const="functionals")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    encoder = None
    if args.control != "functionals":
        encoder = new_encoder(args.speech_encoder, args.speech_layers, args.control == "random")
    for name, _, source in (each.partition("=") for each in args.datasets):
        path = args.out / (f"{name}_{args.control}.npz" if args.control else f"{name}.npz")
        if path.exists():
            continue
        dataset = open_dataset(source, "train")
        facts = {
            column: [str(value) for value in dataset[column]]
            for column in ("emotion", "speaker", "gender", "language", "repetition")
            if column in dataset.column_names
        }
        if isinstance(dataset.features["emotion"], ClassLabel):
            facts["emotion"] = [dataset.features["emotion"].names[int(number)] for number in facts["emotion"]]
        arrays = vectors_of(encoder, dataset, args.copies)
        np.savez(path.with_suffix(".part.npz"), facts=json.dumps(facts), **arrays)
        path.with_suffix(".part.npz").rename(path)


if __name__ == "__main__":
    main()
