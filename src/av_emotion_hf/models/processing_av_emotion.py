"""Processor of the fusion model: feature extractor and image processor together."""

from transformers import ProcessorMixin


class AVEmotionProcessor(ProcessorMixin):
    r"""`processor(audio=waveforms, images=clips_of_face_crops)` returns all inputs of the fusion model.

    Args:
        feature_extractor (`AVEmotionFeatureExtractor`): prepares the waveforms.
        image_processor (`AVEmotionImageProcessor`): prepares the face crops.
    """

    def __init__(self, feature_extractor=None, image_processor=None, **kwargs):
        super().__init__(feature_extractor=feature_extractor, image_processor=image_processor, **kwargs)


__all__ = ["AVEmotionProcessor"]
