"""Pipeline: from clips, or from waveforms and face crops, to the emotions in them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.pipelines.base import ChunkPipeline

from .processing_av_emotion import AVEmotionProcessor
from .windows_av_emotion import ClipWindows

READER_OPTIONS = ("fps", "detector", "speaker")


class AVEmotionPipeline(ChunkPipeline):
    r"""`pipeline("audio-visual-emotion-recognition", model=...)` for audio, image and fusion classifiers.

    A clip is one of:

    - a path or a URL, or the content of a file as `bytes`;
    - a waveform `(samples,)` at the sampling rate of the model, full scale 1;
    - a dict with a clip (`path`, `file`, `video` or `bytes`);
    - a dict with a waveform (`waveform`, `audio`, `array` or `raw`, and its `sampling_rate`) and face crops (`faces`,
      `crops` or `images`: pictures or `(Tv, H, W, 3)`), or instead of these `frames (Tv, H, W, 3)` uint8 to find the
      face in. Sound or picture may be left out. `face_times (Tv,)` in seconds, or `fps`, say when crops and frames
      were seen.

    Where this package is not installed, a path, a URL or bytes give the sound alone, if PyAV or soundfile is there,
    and no face is found in frames.

    Args:
        top_k (`int`, *optional*): labels in the result; all by default.
        window (`float`, *optional*): seconds. A clip is cut into windows of this length, each with scores of its own.
            A rest of less than half a window belongs to the window before.
        fps (`float`, *optional*, defaults to 10): frames per second that are read from a clip.
        detector (`str`, *optional*, defaults to `"auto"`): name of the face detector.
        speaker (`str`, *optional*, defaults to `"size"`): which of several faces is followed: `size` or `speech`.

    Returns (of one clip; a list gives a list, a dataset or a generator gives an iterator):
        `[{"label": str, "score": float}, ...]` in falling order, or with `window`
        `[{"start": seconds, "end": seconds, "scores": [{"label", "score"}, ...]}, ...]`. There are no labels where
        there is neither sound nor a face that the model could use.

    Raises:
        ValueError: a clip cannot be read; one line that says what to do.

    Example:
    ```python
    >>> import av_emotion_hf  # makes the pipeline known
    >>> from av_emotion_hf.inference.predictor import DEFAULT_CHECKPOINT
    >>> from transformers import pipeline

    >>> emotions = pipeline("audio-visual-emotion-recognition", model=DEFAULT_CHECKPOINT)
    >>> emotions("clip.mp4", top_k=2)  # doctest: +SKIP
    ```
    """

    _load_processor = False  # its parts are loaded, of which a model of one modality has only one
    _load_feature_extractor = None
    _load_image_processor = None
    _load_video_processor = False
    _load_tokenizer = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        modalities = self.model.input_modalities
        modalities = (modalities,) if isinstance(modalities, str) else modalities
        self.hears, self.sees = "audio" in modalities, "video" in modalities
        kind = type(self.model).__name__
        if not hasattr(self.model, "classifier"):
            raise ValueError(f"{kind} has no classifier: fine-tune it, and load what came of that")
        if self.hears and self.feature_extractor is None:
            raise ValueError(f"{kind} needs a feature extractor: pass feature_extractor=...")
        if self.sees and self.image_processor is None:
            raise ValueError(f"{kind} needs an image processor: pass image_processor=...")
        self.windows = ClipWindows(self.feature_extractor.sampling_rate if self.hears else None, self.sees)

    def __call__(self, inputs, **kwargs):
        """Recognise emotions; see the class for what a clip may be."""
        return [] if isinstance(inputs, list) and not inputs else super().__call__(inputs, **kwargs)

    def save_pretrained(self, save_directory, **kwargs):
        """As in transformers; of a fusion model the processor is saved, which holds both parts."""
        if not (self.hears and self.sees):
            return super().save_pretrained(save_directory, **kwargs)
        parts = self.feature_extractor, self.image_processor
        self.feature_extractor = self.image_processor = None  # each would be saved under the same file name
        try:
            super().save_pretrained(save_directory, **kwargs)
        finally:
            self.feature_extractor, self.image_processor = parts
        AVEmotionProcessor(*parts).save_pretrained(save_directory)

    def _sanitize_parameters(self, top_k=None, window=None, **options):
        unknown = sorted(set(options) - set(READER_OPTIONS))
        if unknown:
            raise TypeError(f"unknown argument {unknown[0]!r}: there are top_k, window, {', '.join(READER_OPTIONS)}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k={top_k}: at least one label has to be in the result; use 1 or more")
        if window is not None and not window > 0:
            raise ValueError(f"window={window}: has to be positive; use 10 seconds, for instance")
        cut = {} if window is None else {"window": window}
        return cut | options, {}, cut | ({} if top_k is None else {"top_k": top_k})

    def preprocess(self, clip, window: float | None = None, **options) -> Iterator[dict]:
        """The windows of a clip as model inputs, one at a time; the last is marked."""
        held = None
        for part in self.windows(clip, window, **options):
            if held is not None:
                yield held | {"is_last": False}
            held = self._prepare(*part)
        yield held | {"is_last": True}

    def _prepare(self, waveform, crops, start: float, end: float) -> dict:
        """One window, as arrays; tensors would be padded by transformers, which does not know of clips of crops."""
        item = {"start": start, "end": end, "is_empty": True}
        if self.hears:
            given = self.feature_extractor(waveform, sampling_rate=self.feature_extractor.sampling_rate)
            item["input_values"] = np.asarray(given["input_values"][0], np.float32)[: len(waveform)]
            item["is_empty"] &= not len(waveform)
        if self.sees:
            given = self.image_processor([crops], return_tensors="np")
            item["pixel_values"] = given["pixel_values"][0][: len(crops)]
            item["is_empty"] &= not len(crops)
        return item

    def _forward(self, items: dict) -> dict:
        columns = items if isinstance(items["is_empty"], list) else {name: [one] for name, one in items.items()}
        inputs = {}
        for values, mask in (("input_values", "attention_mask"), ("pixel_values", "pixel_mask")):
            if values in columns:
                inputs[values], inputs[mask] = (part.to(self.device) for part in _padded(columns[values]))
        about = {name: items[name] for name in ("start", "end", "is_empty", "is_last")}
        return {"logits": self.model(**inputs).logits} | about

    def postprocess(self, parts: list[dict], window: float | None = None, top_k: int | None = None) -> list[dict]:
        """Scores of the windows of one clip, or of the whole."""
        scores = [[] if part["is_empty"] else self._scores(part["logits"][0], top_k) for part in parts]
        if window is None:
            return scores[0]
        return [
            {"start": round(float(part["start"]), 3), "end": round(float(part["end"]), 3), "scores": found}
            for part, found in zip(parts, scores, strict=True)
        ]

    def _scores(self, logits: Tensor, top_k: int | None) -> list[dict]:
        scores, order = logits.float().softmax(-1).sort(descending=True)
        names = [self.model.config.id2label[i] for i in order.tolist()]
        return [{"label": name, "score": score} for name, score in zip(names, scores.tolist(), strict=True)][:top_k]


def _padded(values: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Arrays (n, ...) of different lengths as one tensor (B, T, ...), T at least 1, and its mask (B, T)."""
    lengths = torch.tensor([len(value) for value in values])
    padded = pad_sequence([torch.from_numpy(np.ascontiguousarray(value)) for value in values], batch_first=True)
    if not padded.shape[1]:
        padded = padded.new_zeros(len(values), 1, *padded.shape[2:])
    return padded, (torch.arange(padded.shape[1]) < lengths[:, None]).long()


__all__ = ["AVEmotionPipeline"]
