"""Processor of the fusion model: feature extractor and image processor together."""

from collections.abc import Callable
from typing import Any

from transformers import ProcessorMixin


class AVEmotionProcessor(ProcessorMixin):
    r"""`processor(audio=waveforms, images=clips_of_face_crops)` returns all inputs of the fusion model.

    Args:
        feature_extractor (`AVEmotionFeatureExtractor`): prepares the waveforms.
        image_processor (`AVEmotionImageProcessor`): prepares the face crops.
    """

    def __init__(self, feature_extractor=None, image_processor=None, **kwargs):
        super().__init__(feature_extractor=feature_extractor, image_processor=image_processor, **kwargs)

    def prepare_inputs_layout(
        self, images: Any = None, text: Any = None, videos: Any = None, audio: Any = None, **kwargs: Any
    ) -> tuple[Any, Any, Any, Any]:
        """As in transformers, but only URLs and names of audio files are read: both parts check what they get."""
        if images is not None:
            images = _fetched(images, self.image_processor.fetch_images, ("http://", "https://"))
        if audio is not None:
            rate = self.feature_extractor.sampling_rate
            audio = _fetched(audio, lambda name: self.feature_extractor.fetch_audio(name, rate))
        return images, text, videos, audio


def _fetched(given: Any, fetch: Callable[[str], Any], prefixes: tuple[str, ...] = ("",)) -> Any:
    """The same, with what is read in place of names that start with one of the prefixes, in lists as well."""
    if isinstance(given, str) and given.startswith(prefixes):
        return fetch(given)
    if isinstance(given, list) and given and isinstance(given[0], str | list):
        return [_fetched(each, fetch, prefixes) for each in given]
    return given


__all__ = ["AVEmotionProcessor"]
