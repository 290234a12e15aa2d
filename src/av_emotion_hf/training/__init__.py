"""The parts that training is made of. The recipes themselves are at the root: `from av_emotion_hf import pretrain`."""

from ..utils import lazy_names

# no name of a recipe: `training.pretrain` and `training.finetune` were modules, and are until 0.3
__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "arguments": ("EmotionTrainingArguments", "read_config_overrides"),
        "calibration": (
            "calibrate_fusion",
            "coverage",
            "expected_calibration_error",
            "fit_temperature",
            "probabilities",
            "reliability",
        ),
        "evaluation": ("seen_in_training",),
        "linear_head": ("LinearHead", "balanced_rows", "choose_penalty", "fit_linear_head", "sentence_vectors"),
        "metrics": ("EmotionScores", "compute_metrics", "confusion_matrix"),
        "normalization": ("estimate_statistics", "set_feature_statistics"),
        "pretraining": ("PRESETS", "hold_out_groups"),
        "reconstruction": ("reconstruction_report", "report_table"),
        "record": ("RunRecord", "checkpoint_names"),
        "score_balance": ("balance_scores",),
        "trainer": ("EmotionTrainer", "SaveProcessorCallback"),
    },
)
