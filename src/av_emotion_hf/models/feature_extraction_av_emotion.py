"""Feature extractor: waveforms to padded `input_values` and `attention_mask`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature, SequenceFeatureExtractor


class AVEmotionFeatureExtractor(SequenceFeatureExtractor):
    r"""Pads waveforms of different lengths to a batch. The acoustic front-end itself is part of the model.

    Args:
        feature_size (`int`, *optional*, defaults to 1): values per sample; mono audio has one.
        sampling_rate (`int`, *optional*, defaults to 16000): samples per second that the model expects.
        padding_value (`float`, *optional*, defaults to 0.0): silence.
    """

    model_input_names = ["input_values", "attention_mask"]  # noqa: RUF012

    def __init__(self, feature_size: int = 1, sampling_rate: int = 16000, padding_value: float = 0.0, **kwargs: Any):
        kwargs.setdefault("return_attention_mask", True)
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)

    def __call__(
        self,
        raw_speech: np.ndarray | Sequence,
        sampling_rate: int | None = None,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        **kwargs: object,
    ) -> BatchFeature:
        """Pad one waveform or a batch of them.

        Args:
            raw_speech (`np.ndarray`, `list[float]` or a list of either):
                Mono waveforms `(samples,)`, values in [-1, 1]. A waveform of length 0 means a clip without audio.
            sampling_rate (`int`, *optional*): samples per second of `raw_speech`, to be checked.
            padding (`bool` or `str`): as in [`~SequenceFeatureExtractor.pad`], like the next three.
            max_length (`int`, *optional*): samples.
            truncation (`bool`): cut waveforms that are longer than `max_length`.
            pad_to_multiple_of (`int`, *optional*): samples.
            return_tensors (`str`, *optional*): `"pt"` or `"np"`.
            **kwargs: ignored, so that pipelines can pass their own.

        Returns:
            [`BatchFeature`] with `input_values (B, samples)` float32 and `attention_mask (B, samples)`.

        Raises:
            ValueError: the sampling rate is another one, there are several channels, or a value is not finite.
        """
        if sampling_rate is not None and sampling_rate != self.sampling_rate:
            raise ValueError(
                f"sampling_rate={sampling_rate} does not fit this feature extractor, which expects "
                f"{self.sampling_rate} Hz; resample the audio, e.g. with torchaudio.functional.resample"
            )
        is_batch = isinstance(raw_speech, list | tuple) and (len(raw_speech) == 0 or np.ndim(raw_speech[0]) > 0)
        is_batch = is_batch or (isinstance(raw_speech, np.ndarray) and raw_speech.ndim == 2)
        waveforms = [np.asarray(x, dtype=np.float32) for x in (raw_speech if is_batch else [raw_speech])]
        for waveform in waveforms:
            if waveform.ndim != 1:
                raise ValueError(
                    f"a waveform of shape {waveform.shape} is not mono: expected (samples,); average the channels"
                )
            if not np.isfinite(waveform).all():
                raise ValueError("a waveform contains NaN or infinite values; replace them before feature extraction")
        if all(len(waveform) == 0 for waveform in waveforms):
            # `pad` cannot make a batch of these; one masked sample keeps it rectangular.
            batch = BatchFeature(
                {
                    "input_values": np.zeros((len(waveforms), 1), np.float32),
                    "attention_mask": np.zeros((len(waveforms), 1), np.int32),
                }
            )
            return batch.convert_to_tensors(return_tensors)
        return self.pad(
            BatchFeature({"input_values": waveforms}),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=True,
            return_tensors=return_tensors,
        )


__all__ = ["AVEmotionFeatureExtractor"]
