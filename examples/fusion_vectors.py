"""Vectors of voice and face of clips, measured once under every condition: a fold of an experiment then costs seconds.

    av-emotion extract CLIPS --out INPUTS
    python examples/fusion_vectors.py INPUTS --face FACE --babble VOICES --out OUT.npz

INPUTS are labeled clips with sound and face crops (columns `audio`, `faces`, `emotion`, `speaker`), FACE a model of
faces whose backbone is read at three layers halfway up, in 4 x 4 fields, and at its end, and VOICES other speakers, of
which babble is made. Of each clip, as `voice_vectors.py` describes a voice:

- `voice_voiced (N, 2, Fa)`, `voice_moments (N, 3, Fa)`, and the same of `voice_babble10`, `voice_babble5` and
  `voice_babble0`, where seven other voices speak at so many decibels below the voice, and of `voice_random`, by an
  encoder with random weights;
- `face_moments (N, 3, Fi)`, count, mean and squares, and the same of `face_hidden25` and `face_hidden50`, where the
  face is not seen in so many percent of the frames, in one stretch; and of `face_random`, by a network with random
  weights.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoModel
from voice_vectors import describe, facts_of, new_encoder, waveform_of

from av_emotion_hf import FeatureReader, InputError, open_dataset
from av_emotion_hf.data import add_noise, make_babble

DEPTHS = (0.4, 0.55, 0.7)  # of the backbone; those of `face_protocols.py`
NOISES = {"": None, "_babble10": 10.0, "_babble5": 5.0, "_babble0": 0.0}  # decibels
HIDDEN = {"": 0.0, "_hidden25": 0.25, "_hidden50": 0.5}  # fraction of the frames
POOLED = -1  # among `backbone_layers`, the pooled output
VOICES = 7


def layers_at(checkpoint: str, depths: tuple[float, ...] = DEPTHS) -> list[int]:
    """Numbers of the hidden states at these depths of the backbone of an image model, and its pooled output."""
    backbone = AutoModel.from_pretrained(checkpoint, dtype=torch.float32).backbone
    with torch.no_grad():
        states = backbone(torch.zeros(1, 3, 96, 96), output_hidden_states=True).hidden_states
    return [*(round(depth * (len(states) - 1)) for depth in depths), POOLED]


def moments_of(frames: np.ndarray) -> np.ndarray:
    """Count, mean and squares (3, F) of frames (T, F)."""
    count = np.full(frames.shape[1], len(frames))
    if not len(frames):
        return np.zeros((3, frames.shape[1]))
    return np.stack([count, frames.mean(0), len(frames) * frames.var(0)])


def seen(frames: np.ndarray, hidden: float, number: int) -> np.ndarray:
    """The frames (T, F) outside of a stretch of so many, whose place follows from the number of the clip."""
    count = round(hidden * len(frames))
    start = int(np.random.default_rng(number).integers(len(frames) - count + 1))
    return np.concatenate([frames[:start], frames[start + count :]])


@torch.no_grad()
def main() -> None:
    """Measure the clips."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs")
    parser.add_argument("--face", required=True)
    parser.add_argument("--babble", required=True)
    parser.add_argument("--speech-encoder", default="openai/whisper-base")
    parser.add_argument("--speech-layers", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows, others = open_dataset(args.inputs, "train"), open_dataset(args.babble, "train")
    encoder = new_encoder(args.speech_encoder, args.speech_layers, False)
    random_encoder = new_encoder(args.speech_encoder, args.speech_layers, True)
    fields = {"backbone_layers": layers_at(args.face)}
    reader = FeatureReader.from_checkpoints("image", [args.face], config_overrides=fields)
    random_reader = FeatureReader.from_checkpoints("image", [args.face], config_overrides=fields)
    torch.manual_seed(0)
    backbone = random_reader.image_model.backbone
    backbone.load_state_dict(AutoModel.from_config(backbone.config).state_dict())
    found: dict[str, list[np.ndarray]] = {}

    def add(name: str, value: np.ndarray) -> None:
        found.setdefault(name, []).append(np.asarray(value, np.float32))

    for number in tqdm(range(len(rows)), unit="clip"):
        waveform = torch.from_numpy(waveform_of(rows, number))
        chosen = np.random.default_rng(number).permutation(len(others))[:VOICES]
        babble = make_babble([torch.from_numpy(waveform_of(others, other)) for other in chosen], len(waveform))
        for suffix, ratio in NOISES.items():
            noisy = waveform if ratio is None else add_noise(waveform, babble, ratio)
            noisy = noisy / noisy.abs().max().clamp(min=1)
            for name, value in describe(encoder, encoder.extract_features(noisy[None])[0][0]).items():
                add(f"voice{suffix}_{name}", value)
        for name, value in describe(random_encoder, random_encoder.extract_features(waveform[None])[0][0]).items():
            add(f"voice_random_{name}", value)
        crops = rows[number]["faces"]
        if not crops:
            raise InputError(f"row {number} shows no face; leave it out")
        frames = reader(np.zeros(0, np.float32), crops)["image_features"]
        for suffix, hidden in HIDDEN.items():
            add(f"face{suffix}_moments", moments_of(seen(frames, hidden, number)))
        add("face_random_moments", moments_of(random_reader(np.zeros(0, np.float32), crops)["image_features"]))
    with args.out.open("wb") as file:
        np.savez(file, facts=json.dumps(facts_of(rows)), **{name: np.stack(each) for name, each in found.items()})


if __name__ == "__main__":
    main()
