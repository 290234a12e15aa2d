"""Corpora that others publish scores on: readers of their files, their published folds, and scores over these."""

from ..utils import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "catalog": ("CORPORA", "Benchmark", "open_benchmark"),
        "corpus": ("ClipFacts", "Corpus"),
        "cross_validation": ("finetune_benchmark", "score_benchmark"),
    },
)
