"""Datasets of clips, their splits, the inputs and features made from them, and batches."""

from ..deprecated import renamed_names
from ..utils import lazy_names

_HOMES = {
    "agreement": ("count_labels", "krippendorff_alpha"),
    "augmentation": ("AUGMENTATIONS", "AugmentingCollator"),
    "collators": ("ClipCollator", "MaskingCollator"),
    "dataset": ("open_dataset",),
    "features": ("FeatureReader",),
    "frame_augmentation": ("MeanFrame",),
    "labels": ("encode_labels", "label_names"),
    "reader": ("ClipReader", "ReaderOptions", "with_inputs"),
    "splits": ("GroupSplit", "drop_augmented", "drop_groups", "group_names", "keep_groups", "split_groups"),
    "statistics": ("RunningStatistics",),
    "votes": ("VoteOptions",),
    "waveform_augmentation": ("WAVEFORM_AUGMENTATIONS", "add_noise", "augment_waveform", "make_babble"),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
__getattr__ = renamed_names(__name__, {"open_corpus": "data.dataset.open_dataset"}, __getattr__)
