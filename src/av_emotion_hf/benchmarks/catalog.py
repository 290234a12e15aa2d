"""The benchmarks that there are: a corpus with its clips on disk and its published folds."""

from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from ..data.splits import GroupSplit, group_names, split_groups
from ..errors import InputError
from .corpus import Corpus
from .crema_d import CREMA_D
from .emo_db import EMO_DB
from .enterface05 import ENTERFACE05
from .meld import MELD
from .ravdess import RAVDESS
from .savee import SAVEE

CORPORA = {corpus.name: corpus for corpus in (CREMA_D, RAVDESS, ENTERFACE05, SAVEE, MELD, EMO_DB)}


@dataclass(frozen=True)
class Benchmark:
    """The clips of a corpus, and which of them each fold tests.

    Attributes:
        corpus: what is published of it.
        dataset: the clips, see [`Corpus.read`].
    """

    corpus: Corpus
    dataset: Dataset

    @property
    def folds(self) -> dict[str, tuple[str, ...]]:
        """By name of a fold the groups that it tests."""
        return self.corpus.folds

    def split(self, fold: str, validation_fraction: float = 0.2, seed: int = 0) -> GroupSplit:
        """The groups of a fold, among those that have clips.

        Args:
            fold: its name.
            validation_fraction: fraction of the training groups that is drawn for validation, unless validation
                groups are published.
            seed: of this draw.

        Raises:
            InputError: there is no such fold, or no group is left to train on.
        """
        if fold not in self.folds:
            raise InputError(f"fold {fold!r}: {self.corpus.title} has no such fold; it has {', '.join(self.folds)}")
        present = group_names(self.dataset, self.corpus.group_column)
        test = [group for group in self.folds[fold] if group in present]
        validation = [group for group in self.corpus.validation if group in present]
        return split_groups(present, test, validation, validation_fraction, seed=seed)


def open_benchmark(name: str, root: str | Path, modality: str | None = None) -> Benchmark:
    """Open a corpus that lies in a folder as it was published, with its published folds.

    Args:
        name: `crema-d`, `ravdess`, `enterface05`, `savee`, `meld` or `emo-db`.
        root: folder of the corpus, or one above it.
        modality: `audio`, `image` or `fusion`: which files of a clip are used, see [`Corpus.read`].

    Raises:
        InputError: there is no such benchmark, or the folder does not hold it.

    Example:
    ```python
    >>> from av_emotion_hf import open_benchmark

    >>> benchmark = open_benchmark("savee", "corpora/SAVEE")  # doctest: +SKIP
    >>> benchmark.split("DC").test  # doctest: +SKIP
    ('DC',)
    ```
    """
    if name not in CORPORA:
        raise InputError(f"benchmark {name!r}: there is no such benchmark; they are {', '.join(CORPORA)}")
    return Benchmark(CORPORA[name], CORPORA[name].read(root, modality))


__all__ = ["CORPORA", "Benchmark", "open_benchmark"]
