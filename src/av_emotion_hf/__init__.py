"""Emotion recognition from voice and face that learns most of what it knows from unlabelled clips.

Importing this package makes its models known to the Auto classes of transformers.
"""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
    AutoModelForVideoClassification,
    AutoProcessor,
)

from .acoustics_av_emotion import acoustic_descriptors, acoustic_functionals, stream_descriptors
from .configuration_av_emotion import AVEmotionAudioConfig, AVEmotionConfig, AVEmotionImageConfig
from .feature_extraction_av_emotion import AVEmotionFeatureExtractor
from .frontend_av_emotion import AcousticFrontEnd
from .image_processing_av_emotion import AVEmotionImageProcessor
from .modeling_av_emotion import (
    AVEmotionAudioForPreTraining,
    AVEmotionAudioForSequenceClassification,
    AVEmotionAudioModel,
    AVEmotionForSequenceClassification,
    AVEmotionImageForPreTraining,
    AVEmotionImageForSequenceClassification,
    AVEmotionImageModel,
    AVEmotionModel,
    AVEmotionPreTrainedModel,
)
from .processing_av_emotion import AVEmotionProcessor

__version__ = "0.1.0"

for _config in (AVEmotionAudioConfig, AVEmotionImageConfig, AVEmotionConfig):
    AutoConfig.register(_config.model_type, _config)

AutoModel.register(AVEmotionAudioConfig, AVEmotionAudioModel)
AutoModel.register(AVEmotionImageConfig, AVEmotionImageModel)
AutoModel.register(AVEmotionConfig, AVEmotionModel)
AutoModelForPreTraining.register(AVEmotionAudioConfig, AVEmotionAudioForPreTraining)
AutoModelForPreTraining.register(AVEmotionImageConfig, AVEmotionImageForPreTraining)
AutoModelForAudioClassification.register(AVEmotionAudioConfig, AVEmotionAudioForSequenceClassification)
AutoModelForVideoClassification.register(AVEmotionImageConfig, AVEmotionImageForSequenceClassification)
# transformers has no Auto class for clips with sound; a video classifier is the nearest
AutoModelForVideoClassification.register(AVEmotionConfig, AVEmotionForSequenceClassification)

for _config in (AVEmotionAudioConfig, AVEmotionConfig):
    AutoFeatureExtractor.register(_config, AVEmotionFeatureExtractor)
for _config in (AVEmotionImageConfig, AVEmotionConfig):
    AutoImageProcessor.register(_config, image_processor_classes={"pil": AVEmotionImageProcessor})
AutoProcessor.register(AVEmotionConfig, AVEmotionProcessor)

__all__ = [
    "AVEmotionAudioConfig",
    "AVEmotionAudioForPreTraining",
    "AVEmotionAudioForSequenceClassification",
    "AVEmotionAudioModel",
    "AVEmotionConfig",
    "AVEmotionFeatureExtractor",
    "AVEmotionForSequenceClassification",
    "AVEmotionImageConfig",
    "AVEmotionImageForPreTraining",
    "AVEmotionImageForSequenceClassification",
    "AVEmotionImageModel",
    "AVEmotionImageProcessor",
    "AVEmotionModel",
    "AVEmotionPreTrainedModel",
    "AVEmotionProcessor",
    "AcousticFrontEnd",
    "__version__",
    "acoustic_descriptors",
    "acoustic_functionals",
    "stream_descriptors",
]
