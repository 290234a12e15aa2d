"""All that a checkpoint gives through the Auto classes and the pipeline, with the package or without it."""

import json
from pathlib import Path

import numpy as np
import torch
import transformers

TASK = "audio-visual-emotion-recognition"
PREFIXES = {"audio": ("input", "attention"), "image": ("pixel",), "fusion": ("input", "attention", "pixel")}


def outputs(folder: Path, kind: str, given: dict[str, np.ndarray], trust: bool) -> dict[str, np.ndarray]:
    """Logits, or the first output, by Auto class; scores of the pipeline, by label.

    Args:
        folder: of a checkpoint whose `auto_map` is complete.
        kind: `audio`, `image` or `fusion`.
        given: tensors of the models; `audio_hidden` and `image_hidden`, the masks of pre-training; `waveform` and
            `faces` for the pipeline.
        trust: run the code beside the checkpoint.
    """
    found = {}
    for name in json.loads((folder / "config.json").read_text())["auto_map"]:
        torch.manual_seed(0)  # what a checkpoint lacks is drawn
        part = getattr(transformers, name).from_pretrained(folder, trust_remote_code=trust)
        assert type(part).__module__.startswith("transformers_modules.") == trust, type(part).__module__
        if not isinstance(part, torch.nn.Module):
            continue
        inputs = {name: torch.from_numpy(value) for name, value in given.items() if name.startswith(PREFIXES[kind])}
        if name == "AutoModelForPreTraining":
            inputs["mask_time_indices"] = torch.from_numpy(given[f"{kind}_hidden"])
        with torch.no_grad():
            output = part.eval()(**inputs)
        found[name] = next(output[field] for field in ("logits", "reconstruction", *output) if field in output).numpy()
    pipe = transformers.pipeline(TASK, model=str(folder), trust_remote_code=trust or None, device="cpu")
    assert type(pipe).__module__.startswith("transformers_modules.") == trust
    scores = pipe({"waveform": given["waveform"], "faces": given["faces"]})
    found["pipeline"] = np.array([one["score"] for one in sorted(scores, key=lambda one: one["label"])])
    return found
