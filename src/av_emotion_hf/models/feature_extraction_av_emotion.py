"""Feature extractor: waveforms to padded `input_values` and `attention_mask`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature, SequenceFeatureExtractor

from .waveforms_av_emotion import audible, check_rate, to_waveforms


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
            raw_speech (`np.ndarray`, `torch.Tensor`, `list[float]` or a list of these):
                Waveforms `(samples,)`: floats with full scale 1, or int16, int32 or uint8. A batch may be an array
                `(B, samples)`. Channels of a recording are mixed: `(samples, channels)`, and in a list also
                `(channels, samples)`. One of length 0 means a clip without audio, and so does silence.
            sampling_rate (`int`, *optional*): samples per second of `raw_speech`, to be checked.
            padding (`bool` or `str`): as in [`~SequenceFeatureExtractor.pad`], like the next three.
            max_length (`int`, *optional*): samples.
            truncation (`bool`): cut waveforms that are longer than `max_length`.
            pad_to_multiple_of (`int`, *optional*): samples.
            return_tensors (`str`, *optional*): `"pt"` or `"np"`.
            **kwargs: ignored, so that pipelines can pass their own.

        Returns:
            [`BatchFeature`] with `input_values (B, samples)` float32 and `attention_mask (B, samples)`, which is 0
            for the whole of a waveform that holds nothing but silence.

        Raises:
            ValueError: the sampling rate is another one, or type, range or shape of a waveform cannot be used.
        """
        if sampling_rate is not None and check_rate(sampling_rate) != self.sampling_rate:
            raise ValueError(
                f"sampling_rate={sampling_rate} does not fit this feature extractor, which expects "
                f"{self.sampling_rate} Hz; resample the audio, e.g. with torchaudio.functional.resample"
            )
        waveforms, _ = to_waveforms(raw_speech, self.sampling_rate)
        if all(len(waveform) == 0 for waveform in waveforms):
            # `pad` cannot make a batch of these; one masked sample keeps it rectangular.
            batch = BatchFeature(
                {
                    "input_values": np.zeros((len(waveforms), 1), np.float32),
                    "attention_mask": np.zeros((len(waveforms), 1), np.int32),
                }
            )
            return batch.convert_to_tensors(return_tensors)
        batch = self.pad(
            BatchFeature({"input_values": waveforms}),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=True,
            return_tensors="np",
        )
        for values, mask in zip(batch["input_values"], batch["attention_mask"], strict=True):
            if not len(audible(values[mask > 0])):
                mask[:] = 0
        return batch.convert_to_tensors(return_tensors)


__all__ = ["AVEmotionFeatureExtractor"]
