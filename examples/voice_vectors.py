"""Vectors of the clips of a dataset of voices, computed once: a fold of an experiment then costs seconds.

    av-emotion extract DATASET --out FEATURES --modality audio --as features --speech-encoder openai/whisper-base \
        --speech-layers 4 --config '{"backbone_sums": 3}'
    python examples/voice_vectors.py NAME=FEATURES... --out VECTORS
    python examples/voice_vectors.py NAME=DATASET... --out VECTORS --speech-encoder openai/whisper-base

Writes VECTORS/NAME.npz for each dataset (columns `emotion`, `speaker`, and `gender`, `language` if it has them), from
features that were extracted before, or from clips (column `audio`) by the speech encoder, which takes far longer. Of
each clip: mean and deviation of its voiced frames, and the moments of those frames that count in the statistics of
the dataset or of a person. A model with `pool_features` and `pool_voiced` needs no more of it in front of its
classifier.

What is made from clips only has files of its own, NAME_X.npz, with the clips in the same order: `--random` writes X =
`random`, vectors of an encoder with random weights, `--functionals` X = `functionals`, the 88 functionals of eGeMAPS,
and `--augment X...` vectors of a copy of each clip that an augmentation has changed at its usual strength, for
`voice_augmentations.py`. X = `together` is all of them, each with probability one half. The voices in the `babble` of
a copy are of clips whose speakers the same fold tests (`--folds`, as for `voice_protocols.py`), so that no fold hears
its test speakers before. A file that is there already is not written again.
"""

import argparse
import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from datasets import ClassLabel, Dataset
from probes import folds_of
from tqdm.auto import tqdm
from voice_protocols import DESCRIPTORS, SUMS

from av_emotion_hf import (
    AVEmotionAudioConfig,
    AVEmotionAudioModel,
    FeatureReader,
    InputError,
    acoustic_functionals,
    load_speech_encoder,
    open_clip,
    open_dataset,
)
from av_emotion_hf.data import WAVEFORM_AUGMENTATIONS, augment_waveform, drop_augmented

SAMPLING_RATE = 16000
FEWEST_VOICED = 5  # frames; of clips with fewer all frames are described, as by the model
FIELDS = {"pool_features": True, "pool_voiced": True}  # of the model whose vectors these are
COPY_KINDS = {name: {name: 1.0} for name in WAVEFORM_AUGMENTATIONS} | {
    "together": dict.fromkeys(WAVEFORM_AUGMENTATIONS, 0.5)
}
OTHERS = 7  # clips of which `babble` is made, at most

Arrays = dict[str, np.ndarray]


def describe(encoder: AVEmotionAudioModel, frames: torch.Tensor) -> Arrays:
    """Of frames (T, F) `voiced` (2, F): mean and deviation of the voiced ones; `moments` (3, F): count, mean, squares
    of those that count. An encoder without a backbone describes frames with states of one as well.
    """
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


def plain_encoder() -> AVEmotionAudioModel:
    """An encoder without a backbone, which knows the descriptors: it describes frames that are there already."""
    return AVEmotionAudioModel(AVEmotionAudioConfig(**FIELDS)).eval()


@functools.cache
def new_encoder(name: str, layers: int, is_random: bool) -> AVEmotionAudioModel:
    """The frozen part of the audio model: front-end and speech encoder, this with random weights if asked for."""
    torch.manual_seed(0)
    backbone = load_speech_encoder(name, layers)
    fields = FIELDS | {"backbone_sums": SUMS}
    reader = FeatureReader.from_checkpoints("audio", speech_encoder=backbone, config_overrides=fields)
    if not is_random:
        return reader.audio_model
    return AVEmotionAudioModel(reader.audio_model.config).eval()


def open_features(source: str) -> Dataset | None:
    """The features of a dataset, with NumPy arrays of the frames; `None` if it holds clips.

    Raises:
        InputError: the frames hold something else than the descriptors and states of a speech encoder.
    """
    dataset = drop_augmented(open_dataset(source, "train"))
    if "input_features" not in dataset.column_names:
        return None
    counts = set(dataset["num_descriptors"]) if "num_descriptors" in dataset.column_names else set()
    if counts != {DESCRIPTORS}:
        raise InputError(
            f"{source}: its features are not {DESCRIPTORS} descriptors and the states of a speech encoder; extract "
            "them with --as features --speech-encoder"
        )
    return dataset.with_format("numpy", columns=["input_features"], output_all_columns=True)


def facts_of(dataset: Dataset) -> dict[str, list[str]]:
    """What is known of each clip, by column."""
    columns = ("emotion", "speaker", "gender", "language", "repetition")
    columns = [name for name in columns if name in dataset.column_names]
    facts = {name: ["" if value is None else str(value) for value in dataset[name]] for name in columns}
    if isinstance(dataset.features["emotion"], ClassLabel):
        facts["emotion"] = [dataset.features["emotion"].names[int(number)] for number in facts["emotion"]]
    return facts


def stacked(each: Iterator[Arrays], count: int) -> Arrays:
    """Arrays (N, ...) float32 of all clips from those of each."""
    found: dict[str, list] = {}
    for arrays in tqdm(each, total=count, unit="clip"):
        for name, value in arrays.items():
            found.setdefault(name, []).append(np.asarray(value, dtype=np.float32))
    return {name: np.stack(values) for name, values in found.items()}


def from_features(dataset: Dataset) -> Iterator[Arrays]:
    """Vectors of each row of features."""
    encoder = plain_encoder()
    for row in dataset.select_columns(["input_features"]):
        yield describe(encoder, torch.from_numpy(np.array(row["input_features"], dtype=np.float32)))


def waveform_of(dataset: Dataset, number: int) -> np.ndarray:
    """One clip (samples,)."""
    return open_clip(dataset[int(number)]["audio"]["bytes"]).waveform


def changed_clips(dataset: Dataset, augmentation: str, tests: list[np.ndarray]) -> Iterator[np.ndarray]:
    """A changed copy (samples,) of each clip, which follows from its number; `tests` as of `folds_of`."""
    probabilities = COPY_KINDS[augmentation]
    for number in range(len(dataset)):
        torch.manual_seed(number)
        others = []
        if "babble" in probabilities:
            together = np.flatnonzero(next((test for test in tests if test[number]), 0))
            together = together[together != number]
            chosen = together[torch.randperm(len(together))[:OTHERS].numpy()]
            others = [torch.from_numpy(waveform_of(dataset, other)) for other in chosen]
        waveform = torch.from_numpy(waveform_of(dataset, number))
        yield augment_waveform(waveform, probabilities, others).numpy()


def save(path: Path, dataset: Dataset, arrays: Arrays) -> None:
    """Write one file, of which nobody sees a part."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, facts=json.dumps(facts_of(dataset)), **arrays)
    part.rename(path)


def from_clips(
    dataset: Dataset, kind: str | None, speech_encoder: tuple[str, int], tests: list[np.ndarray]
) -> Iterator[Arrays]:
    """What is measured of each clip: vectors, those of a control, or those of a changed copy."""
    if kind in COPY_KINDS:
        waveforms = changed_clips(dataset, kind, tests)
    else:
        waveforms = (waveform_of(dataset, number) for number in range(len(dataset)))
    encoder = None if kind == "functionals" else new_encoder(*speech_encoder, kind == "random")
    for waveform in waveforms:
        if encoder is None:
            yield {"functionals": np.array(list(acoustic_functionals(waveform, SAMPLING_RATE).values()))}
        else:
            yield describe(encoder, encoder.extract_features(torch.from_numpy(waveform)[None])[0][0])


@torch.no_grad()
def main() -> None:
    """Measure the datasets whose file is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", help="NAME=DATASET, of features or clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speech-encoder", default="openai/whisper-base", help="for clips")
    parser.add_argument("--speech-layers", type=int, default=4, help="for clips")
    parser.add_argument("--folds", type=Path, help="JSON: by the name of a dataset the test speakers of each fold")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--random", dest="kinds", action="store_const", const=["random"])
    kinds.add_argument("--functionals", dest="kinds", action="store_const", const=["functionals"])
    kinds.add_argument("--augment", dest="kinds", nargs="+", choices=COPY_KINDS, help="augmentations")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    folds = json.loads(args.folds.read_text(encoding="utf-8")) if args.folds else {}
    for (name, _, source), kind in itertools.product(
        (each.partition("=") for each in args.datasets), args.kinds or [None]
    ):
        if not source or "_" in name:
            raise InputError(f"{name!r}: is not NAME=DATASET with a name that has no underscore; write it as such")
        path = args.out / (f"{name}_{kind}.npz" if kind else f"{name}.npz")
        if path.exists():
            continue
        features = open_features(source)
        if features is not None and kind:
            raise InputError(f"{name}: {source} holds features, and {kind!r} is made from clips; name these")
        if features is not None:
            save(path, features, stacked(from_features(features), len(features)))
            continue
        clips = open_dataset(source, "train")
        tests = folds_of(name, np.array([f"{name}/{speaker}" for speaker in clips["speaker"]]), folds)
        each = from_clips(clips, kind, (args.speech_encoder, args.speech_layers), tests)
        own_folds = {"folds": np.stack(tests)} if kind in COPY_KINDS else {}
        save(path, clips, stacked(each, len(clips)) | own_folds)


if __name__ == "__main__":
    main()
