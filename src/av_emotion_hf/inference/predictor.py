"""Prediction: a clip to the emotion in it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..checkpoints import DEFAULT_CHECKPOINT, load_classifier
from ..data.reader import ClipInputs, ClipReader
from ..data.schema import SAMPLING_RATE
from ..errors import InputError


@dataclass(frozen=True)
class Prediction:
    """The emotion of one clip.

    Attributes:
        path: the clip.
        emotion: the most probable class; `None` when the clip has neither sound nor a face.
        scores: probability of each class, in falling order.
        modalities: `audio` and `image`, as far as they were used.
        duration: seconds.
        face_coverage: share of the frames that show the followed face.
        detector: name of the face detector that ran.
    """

    path: str
    emotion: str | None
    scores: dict[str, float]
    modalities: list[str]
    duration: float
    face_coverage: float
    detector: str | None

    def as_dict(self) -> dict:
        """The prediction as one JSON object."""
        return asdict(self)


class EmotionPredictor:
    """Predicts the emotion of clips: mp4, mpg, mov, wav, flac and whatever else decord or soundfile read.

    Args:
        checkpoint: folder or Hub name of an audio, image or fusion classifier; by default the one in this package.
        detector: name of the face detector, see [`load_detector`].
        fps: frames per second.
        window: seconds; a longer clip is cut into windows of this length, whose probabilities are averaged.
        device: where the model runs.
        speaker: which of several faces is followed: `size` or `speech`, see [`face_windows`].

    Raises:
        InputError: the checkpoint is missing, or has no trained classifier for clips.

    Example:
    ```python
    >>> from av_emotion_hf.inference.predictor import EmotionPredictor

    >>> EmotionPredictor()("clip.mp4").emotion  # doctest: +SKIP
    ```
    """

    def __init__(
        self,
        checkpoint: str = DEFAULT_CHECKPOINT,
        detector: str = "auto",
        fps: float = 10.0,
        window: float = 10.0,
        device: str = "cpu",
        speaker: str = "size",
    ):
        self.modality, self.classifier = load_classifier(checkpoint)
        if self.modality == "expression":
            raise InputError(
                f"{checkpoint}: is an expression recogniser of single pictures; clips need an audio, image or fusion "
                "model: fine-tune one with it as --init"
            )
        self.model = self.classifier.model.to(device)
        modality = "both" if self.modality == "fusion" else self.modality
        self.reader = ClipReader(modality, fps=fps, detector=detector, speaker=speaker, window=window)

    def __call__(self, source: str | Path | bytes, alive: Callable[[], None] = lambda: None) -> Prediction:
        """Predict one clip, given as a path or as bytes; `alive` is called after each window of it.

        Raises:
            InputError: the clip cannot be read.
        """
        names = [self.model.config.id2label[i] for i in range(self.model.config.num_labels)]
        probabilities, modalities = [], set()
        duration, faces, frames, detector = 0.0, 0, 0, None
        for inputs in self.reader.windows(source if isinstance(source, bytes) else str(source)):
            if inputs.modalities:
                probabilities.append(self._probabilities(inputs))
            alive()
            modalities |= set(inputs.modalities)
            duration = inputs.start + inputs.duration
            faces, frames = faces + len(inputs.face_times), frames + inputs.num_frames
            detector = detector or inputs.detector
        scores = {}
        if probabilities:
            mean = np.mean(probabilities, axis=0)
            scores = {names[i]: round(float(mean[i]), 4) for i in np.argsort(-mean)}
        return Prediction(
            path="<bytes>" if isinstance(source, bytes) else str(source),
            emotion=next(iter(scores), None),
            scores=scores,
            modalities=sorted(modalities),
            duration=round(duration, 3),
            face_coverage=round(faces / frames, 3) if frames else 0.0,
            detector=detector,
        )

    @torch.no_grad()
    def _probabilities(self, inputs: ClipInputs) -> np.ndarray:
        batch = {}
        if self.modality != "image":
            extractor = self.classifier.feature_extractor
            batch |= extractor(inputs.waveform, sampling_rate=SAMPLING_RATE, return_tensors="pt")
        if self.modality != "audio":
            batch |= self.classifier.image_processor([inputs.crops], return_tensors="pt")
        logits = self.model(**{name: tensor.to(self.model.device) for name, tensor in batch.items()}).logits
        return logits.float().softmax(-1)[0].cpu().numpy()


__all__ = ["DEFAULT_CHECKPOINT", "EmotionPredictor", "Prediction"]
