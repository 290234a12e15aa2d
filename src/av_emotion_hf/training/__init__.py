"""Recipes (expression recognizer, pre-training, fine-tuning, evaluation) and the parts they are made of."""

from ..utils import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "arguments": ("EmotionTrainingArguments", "read_config_overrides"),
        "evaluation": ("evaluate", "seen_in_training"),
        "expression": ("train_expression",),
        "finetuning": ("finetune",),
        "metrics": ("EmotionScores", "compute_metrics", "confusion_matrix"),
        "normalization": ("estimate_statistics", "set_feature_statistics"),
        "pretraining": ("PRESETS", "hold_out_groups", "pretrain"),
        "reconstruction": ("reconstruction_report", "report_table"),
        "record": ("RunRecord", "checkpoint_names"),
        "trainer": ("EmotionTrainer", "SaveProcessorCallback"),
    },
)
