"""A picture of what a pre-trained encoder makes of the hidden frames of a clip."""

import os
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from ..checkpoints import KINDS, MODELS, load_weights, read_config
from ..data.reader import ClipReader
from ..data.schema import SAMPLING_RATE
from ..errors import InputError
from ..models.feature_extraction_av_emotion import AVEmotionFeatureExtractor
from ..models.image_processing_av_emotion import AVEmotionImageProcessor
from ..models.masking_av_emotion import MaskedFrames, mean_square, sample_mask
from ..training.reconstruction import guess_hidden
from .canvas import require_picture_name
from .heatmap import colours, draw_heat_maps

MODALITIES = {"av_emotion_audio": "audio", "av_emotion_image": "image"}


@torch.no_grad()
def draw_reconstruction(
    checkpoint: str,
    source: str | os.PathLike,
    out: str | os.PathLike,
    span: int | None = None,
    share: float | None = None,
    seed: int = 0,
    seconds: float = 10.0,
    fps: float = 10.0,
    detector: str = "auto",
) -> dict[str, int | float | str | None]:
    """Draw the true, the masked and the reconstructed features of a clip, one below the other.

    Args:
        checkpoint: what `pretrain` wrote, of voices or of faces.
        source: path of a clip.
        out: picture file to write, such as `picture.png`.
        span: frames in one hidden stretch; as in the checkpoint's training when `None`.
        share: of the frames that are hidden; as in the checkpoint's training when `None`.
        seed: of the masks.
        seconds: of the clip that are drawn, from its start.
        fps: frames per second of a face.
        detector: name of the face detector.

    Returns:
        `frames`, `hidden_frames`, and the errors of the model and the baselines on them, as in
        [`reconstruction_report`].

    Raises:
        InputError: the clip or the checkpoint cannot be read, the clip has nothing of the checkpoint's modality, or
            `out` is no kind of picture file that is known.
    """
    require_picture_name(out)
    model, modality = _load(checkpoint)
    span = model.config.mask_time_length if span is None else span
    share = model.config.mask_time_prob if share is None else share
    inputs, frames_per_second = _inputs(checkpoint, model, modality, str(source), seconds, fps, detector)
    features, frame_mask, cell_mask = model.complete_features(**inputs)
    hidden = sample_mask(frame_mask, share, span, torch.Generator().manual_seed(seed))
    frames = MaskedFrames(features, frame_mask, cell_mask, hidden)
    guesses = guess_hidden(model, frames)
    counted = cell_mask & hidden.unsqueeze(-1)
    errors = {name: mean_square(guess, features, counted).item() for name, guess in guesses.items()}

    filled = torch.where(hidden.unsqueeze(-1), guesses["model"], features)
    true, restored = (_in_deviations(model, values)[0].numpy() for values in (features, filled))
    seen, unseen, nothing = np.zeros(len(true), bool), hidden[0].numpy(), ~cell_mask[0].numpy()
    scores = f"mean squared error {errors['model']:.3f}, of interpolation {errors['interpolation']:.3f}"
    maps = {
        "true": colours(true, seen, nothing),
        f"what the model sees: {hidden.sum()} of {len(true)} frames hidden": colours(true, unseen, nothing),
        f"reconstructed: {scores}": colours(restored, seen, nothing),
    }
    names = list(model.audio_encoder.frontend.descriptor_names) if modality == "audio" else None
    title = f"{Path(source).name}, by {Path(checkpoint).name} (objective {model.config.objective})"
    draw_heat_maps(maps, names, len(true) / frames_per_second, title, out)
    return {"frames": len(true), "hidden_frames": int(hidden.sum()), **errors}


def _load(checkpoint: str) -> tuple[PreTrainedModel, str]:
    """A pre-training model in evaluation mode, and its modality."""
    kind = read_config(checkpoint).model_type
    if kind in MODALITIES:
        model_class = MODELS["pretraining", MODALITIES[kind]]
        model, info = load_weights(model_class, checkpoint, output_loading_info=True)
        if not info["missing_keys"]:
            return model.eval(), MODALITIES[kind]
    raise InputError(
        f"{checkpoint}: is {KINDS[kind]} that cannot reconstruct frames; give a folder that `pretrain` wrote"
    )


def _inputs(checkpoint, model, modality, source, seconds, fps, detector) -> tuple[dict[str, torch.Tensor], float]:
    """Tensors of the start of one clip, and its frames per second."""
    window = next(ClipReader(modality, fps=fps, detector=detector, window=seconds).windows(source))
    if modality == "audio":
        waveform = window.waveform[: round(seconds * SAMPLING_RATE)]
        if not len(waveform):
            raise InputError(f"{source}: has no sound, so there is nothing to reconstruct; name a clip with a voice")
        extractor = AVEmotionFeatureExtractor.from_pretrained(checkpoint)
        batch = extractor(waveform, sampling_rate=SAMPLING_RATE, return_tensors="pt")
        return dict(batch), model.config.frames_per_second
    crops = window.crops[window.face_times <= seconds]
    if not len(crops):
        raise InputError(f"{source}: shows no face, so there is nothing to reconstruct; name a clip with a face")
    return dict(AVEmotionImageProcessor.from_pretrained(checkpoint)([crops], return_tensors="pt")), fps


def _in_deviations(model: PreTrainedModel, features: torch.Tensor) -> torch.Tensor:
    """Normalised features without the gain and offset that fine-tuning may have given them."""
    frontend = getattr(model.base_model, "frontend", None)
    return features if frontend is None else (features - frontend.offset) / frontend.gain


__all__ = ["draw_reconstruction"]
