"""Prediction: a clip to the emotion in it."""

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from .data.inputs import SAMPLING_RATE, ClipInputs, ClipReader
from .errors import InputError
from .training.evaluation import load_classifier

DEFAULT_CHECKPOINT = str(Path(__file__).parent / "checkpoints" / "av-emotion-small")


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

    Raises:
        InputError: the checkpoint is missing, or has no trained classifier for clips.

    Example:
    ```python
    >>> from av_emotion_hf.predictor import EmotionPredictor

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
    ):
        self.modality, self.classifier = load_classifier(checkpoint)
        if self.modality == "expression":
            raise InputError(
                f"{checkpoint}: is an expression recogniser of single pictures; clips need an audio, image or fusion "
                "model: fine-tune one with it as --init"
            )
        self.model = self.classifier.model.to(device)
        self.reader = ClipReader("both" if self.modality == "fusion" else self.modality, fps, detector)
        self.window = window

    def __call__(self, source: str | Path | bytes) -> Prediction:
        """Predict one clip, given as a path or as bytes.

        Raises:
            InputError: the clip cannot be read.
        """
        inputs = self.reader.read(source if isinstance(source, bytes) else str(source))
        names = [self.model.config.id2label[i] for i in range(self.model.config.num_labels)]
        scores = {}
        if inputs.modalities:
            probabilities = np.mean([self._probabilities(part) for part in self._windows(inputs)], axis=0)
            scores = {names[i]: round(float(probabilities[i]), 4) for i in np.argsort(-probabilities)}
        return Prediction(
            path="<bytes>" if isinstance(source, bytes) else str(source),
            emotion=next(iter(scores), None),
            scores=scores,
            modalities=inputs.modalities,
            duration=round(inputs.duration, 3),
            face_coverage=round(inputs.face_coverage, 3),
            detector=inputs.detector,
        )

    def _windows(self, inputs: ClipInputs) -> list[tuple[np.ndarray, np.ndarray]]:
        """Waveform and crops of each window in which there is sound or a face."""
        count = max(1, round(inputs.duration / self.window))
        edges = np.linspace(0, inputs.duration, count + 1)
        edges[-1] = np.inf
        windows = []
        for begin, end in itertools.pairwise(edges):
            until = None if np.isinf(end) else int(end * SAMPLING_RATE)
            waveform = inputs.waveform[int(begin * SAMPLING_RATE) : until]
            crops = inputs.crops[(inputs.face_times >= begin) & (inputs.face_times < end)]
            if len(waveform) or len(crops):
                windows.append((waveform, crops))
        return windows

    @torch.no_grad()
    def _probabilities(self, part: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        waveform, crops = part
        batch = {}
        if self.modality != "image":
            batch |= self.classifier.feature_extractor(waveform, sampling_rate=SAMPLING_RATE, return_tensors="pt")
        if self.modality != "audio":
            batch |= self.classifier.image_processor([crops], return_tensors="pt")
        logits = self.model(**{name: tensor.to(self.model.device) for name, tensor in batch.items()}).logits
        return logits.float().softmax(-1)[0].cpu().numpy()


__all__ = ["DEFAULT_CHECKPOINT", "EmotionPredictor", "Prediction"]
