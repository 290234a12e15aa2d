"""Emotion recognition from voice and face that learns most of what it knows from unlabeled clips.

Importing this package makes its models known to the Auto classes of transformers, and its pipeline to `pipeline`.
Names are loaded when they are first used, so the import is cheap.
"""

from . import auto, deprecated
from .utils import lazy_names

__version__ = "0.2.0"

_HOMES = {f"models.{home}": names for home, names in auto.HOMES.items()} | {
    "acoustics.descriptors": ("acoustic_descriptors", "acoustic_functionals", "stream_descriptors"),
    "benchmarks.catalog": ("open_benchmark",),
    "benchmarks.cross_validation": ("finetune_benchmark", "score_benchmark"),
    "checkpoints": (
        "DEFAULT_CHECKPOINT",
        "FACE_CHECKPOINT",
        "MIT_CHECKPOINT",
        "MIT_VOICE_CHECKPOINT",
        "SMALL_VOICE_CHECKPOINT",
        "VOICE_CHECKPOINT",
        "build_model",
        "load_classifier",
        "load_speech_encoder",
    ),
    "data.collators": ("ClipCollator", "MaskingCollator"),
    "data.dataset": ("open_dataset",),
    "data.extraction": ("extract",),
    "data.features": ("FeatureReader",),
    "data.labels": ("encode_labels", "label_names"),
    "data.reader": ("ClipReader", "ReaderOptions", "with_inputs"),
    "data.splits": ("group_names", "keep_groups", "split_groups"),
    "errors": ("InputError",),
    "hub.cards": ("write_card",),
    "hub.push": ("push",),
    "hub.remote_code": ("carry_remote_code",),
    "inference.export": ("export_onnx",),
    "inference.predictor": ("EmotionPredictor", "Prediction"),
    "inference.stream": ("EmotionStream",),
    "inference.timelines": ("TimelineMaker",),
    "media.clip": ("open_clip",),
    "media.detector": ("load_detector",),
    "media.faces": ("track_faces",),
    "models.frontend_av_emotion": ("AcousticFrontEnd",),
    "models.person_baseline_av_emotion": ("PersonBaseline",),
    "timeline.segment_files": ("read_segments",),
    "timeline.segments": ("Segment",),
    "timeline.table": ("Timeline", "TimelineRow"),
    "timeline.tiers": ("GivenSegment",),
    "training.combination": ("combine",),
    "training.arguments": ("EmotionTrainingArguments",),
    "training.evaluation": ("evaluate",),
    "training.expression": ("train_expression",),
    "training.finetuning": ("finetune",),
    "training.metrics": ("compute_metrics",),
    "training.pretraining": ("pretrain",),
    "training.score_balance": ("balance_scores",),
    "training.self_training": ("self_train",),
    "training.trainer": ("EmotionTrainer",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
__all__ += ["__version__"]

deprecated.watch()
auto.watch()
