"""An image of what a pre-trained encoder makes of the hidden frames of a clip."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..checkpoints import KINDS, MODELS, load_weights, read_config
from ..data.reader import ClipReader
from ..data.schema import SAMPLING_RATE
from ..errors import InputError
from ..models.feature_extraction_av_emotion import AVEmotionFeatureExtractor
from ..models.image_processing_av_emotion import AVEmotionImageProcessor
from ..models.masking_av_emotion import MaskedFrames, mean_square, sample_mask
from ..models.modeling_av_emotion import AVEmotionAudioForPreTraining, AVEmotionImageForPreTraining
from ..models.pipeline_av_emotion import pad, prepare
from ..training.reconstruction import guess_hidden
from .canvas import require_image_name
from .heatmap import colors, draw_heat_maps

WANTED = {"audio": "a voice", "image": "a face"}
MODALITIES = {"av_emotion_audio": "audio", "av_emotion_image": "image"}
PreTrainingModel = AVEmotionAudioForPreTraining | AVEmotionImageForPreTraining


@torch.no_grad()
def draw_reconstruction(
    checkpoint: str,
    source: str | os.PathLike,
    out: str | os.PathLike,
    span: int | None = None,
    fraction: float | None = None,
    seed: int = 0,
    seconds: float = 10.0,
    fps: float = 10.0,
    detector: str = "auto",
) -> dict[str, int | float | str | None]:
    """Draw the true, the masked and the reconstructed features of a clip, one below the other.

    Args:
        checkpoint: a folder that `pretrain` wrote, of voices or of faces.
        source: path of a clip.
        out: image file to write, such as `image.png`.
        span: frames in one hidden stretch; as in the checkpoint's training when `None`.
        fraction: of the frames that are hidden; as in the checkpoint's training when `None`.
        seed: of the masks.
        seconds: of the clip that are drawn, from its start.
        fps: frames per second of a face.
        detector: name of the face detector.

    Returns:
        `frames`, `hidden_frames`, and the errors of the model and the baselines on them, as in
        [`reconstruction_report`].

    Raises:
        InputError: the clip or the checkpoint cannot be read, the clip has nothing of the checkpoint's modality, or
            `out` is not the name of an image file.
    """
    require_image_name(out)
    model, modality = _load(checkpoint)
    span = model.config.mask_time_length if span is None else span
    fraction = model.config.mask_time_prob if fraction is None else fraction
    inputs, frames_per_second = _inputs(checkpoint, model, modality, str(source), seconds, fps, detector)
    features, frame_mask, cell_mask = model.complete_features(**inputs)
    hidden = sample_mask(frame_mask, fraction, span, torch.Generator().manual_seed(seed))
    frames = MaskedFrames(features, frame_mask, cell_mask, hidden)
    guesses = guess_hidden(model, frames)
    counted = cell_mask & hidden.unsqueeze(-1)
    errors = {name: mean_square(guess, features, counted).item() for name, guess in guesses.items()}

    filled = torch.where(hidden.unsqueeze(-1), guesses["model"], features)
    true, restored = (_in_deviations(model, values)[0].numpy() for values in (features, filled))
    seen, unseen, undefined = np.zeros(len(true), bool), hidden[0].numpy(), ~cell_mask[0].numpy()
    scores = f"mean squared error {errors['model']:.3f}, of interpolation {errors['interpolation']:.3f}"
    maps = {
        "true": colors(true, seen, undefined),
        f"what the model sees: {hidden.sum()} of {len(true)} frames hidden": colors(true, unseen, undefined),
        f"reconstructed: {scores}": colors(restored, seen, undefined),
    }
    frontend = getattr(model.base_model, "frontend", None)  # of voices
    names = None if frontend is None else list(frontend.descriptor_names)
    title = f"{Path(source).name}, by {Path(checkpoint).name} (objective {model.config.objective})"
    draw_heat_maps(maps, names, len(true) / frames_per_second, title, out)
    return {"frames": len(true), "hidden_frames": int(hidden.sum()), **errors}


def _load(checkpoint: str) -> tuple[PreTrainingModel, str]:
    """A pre-training model in evaluation mode, and its modality."""
    config = read_config(checkpoint)
    kind = config.model_type
    if kind in MODALITIES:
        if config.objective == "distill":
            raise InputError(
                f"{checkpoint}: learned the states of a speech encoder, and has no frames to reconstruct; give a "
                "folder that `pretrain` wrote with another --objective"
            )
        model_class = MODELS["pretraining", MODALITIES[kind]]
        model, info = load_weights(model_class, checkpoint, output_loading_info=True)
        if not info["missing_keys"]:
            return model.eval(), MODALITIES[kind]
    raise InputError(
        f"{checkpoint}: is {KINDS[kind]} that cannot reconstruct frames; give a folder that `pretrain` wrote"
    )


def _inputs(
    checkpoint: str,
    model: PreTrainingModel,
    modality: str,
    source: str,
    seconds: float,
    fps: float,
    detector: str,
) -> tuple[dict[str, torch.Tensor], float]:
    """Tensors of the start of one clip, and its frames per second."""
    window = next(ClipReader(modality, fps=fps, detector=detector, window=seconds).windows(source))
    if modality == "audio":
        values, mask, lacks = "input_values", "attention_mask", "has no audio"
        window = replace(window, waveform=window.waveform[: round(seconds * SAMPLING_RATE)])
        item = prepare(window, feature_extractor=AVEmotionFeatureExtractor.from_pretrained(checkpoint))
        fps = model.config.frames_per_second
    else:
        values, mask, lacks = "pixel_values", "pixel_mask", "shows no face"
        window = replace(window, crops=window.crops[window.face_times <= seconds])
        item = prepare(window, image_processor=AVEmotionImageProcessor.from_pretrained(checkpoint))
    if not len(item[values]):
        raise InputError(f"{source}: {lacks}, so there is nothing to reconstruct; name a clip with {WANTED[modality]}")
    return dict(zip((values, mask), pad([item[values]]), strict=True)), fps


def _in_deviations(model: PreTrainingModel, features: torch.Tensor) -> torch.Tensor:
    """Normalized features without the gain and offset that fine-tuning may have given them."""
    frontend = getattr(model.base_model, "frontend", None)
    return features if frontend is None else (features - frontend.offset) / frontend.gain


__all__ = ["draw_reconstruction"]
