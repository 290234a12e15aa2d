"""Linear heads on vectors of clips, tested on people that they were not trained on: what the protocols share.

A vector holds mean and deviation of a clip's frames (`pool_features` of a model), standardized by the training part or
by the clips of its person; the head is that of `finetune --head-first`.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.svm import SVC

from av_emotion_hf import balance_scores
from av_emotion_hf.training import choose_penalty, fit_linear_head

DEFAULT_PENALTY = 0.1
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)
PRIOR = 500.0  # frames of 20 ms: `baseline_prior`
MOST_FOLDS = 12  # speakers up to which one is left out at a time
VALIDATION = 5  # one of so many speakers validates


def merged(moments: np.ndarray) -> np.ndarray:
    """Moments (3, F) of all clips together from those of each (N, 3, F)."""
    counts, means, squares = (moments[:, part].astype(np.float64) for part in range(3))
    count = counts.sum(0)
    mean = (counts * means).sum(0) / np.maximum(count, 1)
    return np.stack([count, mean, (squares + counts * (means - mean) ** 2).sum(0)])


def statistics(moments: np.ndarray, dataset: np.ndarray | None = None, prior: float = PRIOR) -> np.ndarray:
    """Mean and deviation (2, F), those of a person shrunk toward the dataset's as `PersonBaseline` does.

    Args:
        moments: (3, F).
        dataset: mean and deviation (2, F); `None` for the dataset itself.
        prior: frames, `baseline_prior` times frames per second.
    """
    count, mean, squares = moments
    variance = squares / np.maximum(count, 1)
    if dataset is not None:
        share = count / (count + prior)
        mean = share * mean + (1 - share) * dataset[0]
        variance = share * variance + (1 - share) * dataset[1] ** 2
    return np.stack([mean, np.sqrt(np.where(variance > 0, variance, 1.0))])


def by_group(
    moments: np.ndarray, groups: np.ndarray, dataset: np.ndarray, clips: int | None = None, prior: float = PRIOR
) -> np.ndarray:
    """Mean and deviation (N, 2, F) of each clip's group, or of so many other clips of it, from moments (N, 3, F)."""
    found = np.zeros((len(groups), 2, moments.shape[-1]))
    rng = np.random.default_rng(0)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        if clips is None:
            found[rows] = statistics(merged(moments[rows]), dataset, prior)
            continue
        for row in rows:
            chosen = rng.permutation(rows[rows != row])[:clips]
            found[row] = statistics(merged(moments[chosen]), dataset, prior)
    return found


def pooled(frames: np.ndarray, by: np.ndarray) -> np.ndarray:
    """What the classifier reads (N, 2 F) of clips standardized by mean and deviation (2, F) or (N, 2, F).

    A value that is not defined, such as F0 without voice, is the mean after that, 0.

    Args:
        frames: mean and deviation of the frames of each clip (N, 2, F).
        by: of all clips, or of each.
    """
    mean, std = (by[..., 0, :], by[..., 1, :]) if by.ndim == 3 else by
    scaled = np.concatenate([(frames[:, 0] - mean) / std, frames[:, 1] / std], axis=1)
    return np.nan_to_num(scaled, nan=0.0).astype(np.float32)


@dataclass
class Part:
    """Clips that are trained or tested on: what is read of them, by the way it is standardized."""

    vectors: dict[str, np.ndarray]  # (N, D) by `plain`, `person`, `dataset`
    classes: np.ndarray  # (N,)
    cells: list[tuple[str, str]]  # dataset and class of each
    speakers: np.ndarray
    genders: np.ndarray  # (N,), "" where the dataset does not say it

    def pick(self, rows: np.ndarray) -> "Part":
        """Some of the clips."""
        vectors = {name: each[rows] for name, each in self.vectors.items()}
        cells = [self.cells[row] for row in rows]
        return Part(vectors, self.classes[rows], cells, self.speakers[rows], self.genders[rows])


def validation_speakers(part: Part) -> np.ndarray:
    """Which clips validate: a fifth of the speakers of each dataset, one at least of those with more than two."""
    chosen = []
    for name in sorted({name for name, _ in part.cells}):
        own = sorted(speaker for speaker in set(part.speakers) if speaker.startswith(f"{name}/"))
        chosen += (
            np.random.default_rng(0).permutation(own)[: -(-len(own) // VALIDATION) if len(own) > 2 else 0].tolist()
        )
    return np.isin(part.speakers, chosen)


def learn(
    part: Part,
    kinds: tuple[str, ...],
    num_classes: int,
    validates: np.ndarray | None = None,
    penalty: float = DEFAULT_PENALTY,
):
    """A linear head on clips standardized in each of some ways; returns it and its penalty, chosen if any validate."""
    validates = validation_speakers(part) if validates is None else validates
    if validates.any():
        scores = penalty_scores(part, kinds, num_classes, validates)
        penalty = max(PENALTIES, key=lambda each: scores[each])
    vectors, targets, weights, _ = _rows(part, kinds, num_classes)
    return fit_linear_head(vectors, targets, penalty, weights), penalty


def penalty_scores(
    part: Part,
    kinds: tuple[str, ...],
    num_classes: int,
    validates: np.ndarray,
    penalties: tuple[float, ...] = PENALTIES,
) -> dict[float, float]:
    """UAR of each penalty on the clips (N,) that validate, of heads that learn from the others."""
    train, held_out = (
        _rows(part.pick(np.flatnonzero(chosen)), kinds, num_classes) for chosen in (~validates, validates)
    )
    return choose_penalty(*train[:3], (held_out[0], held_out[3]), penalties)[1]


def _rows(part: Part, kinds: tuple[str, ...], num_classes: int) -> tuple[torch.Tensor, ...]:
    """Vectors, targets, weights and classes of all clips, once for each way to standardize them."""
    counts = Counter(part.cells)
    weights = torch.tensor([1 / counts[cell] for cell in part.cells])
    vectors = torch.from_numpy(np.concatenate([part.vectors[kind] for kind in kinds]))
    classes = torch.from_numpy(part.classes).repeat(len(kinds))
    return vectors, torch.nn.functional.one_hot(classes, num_classes).float(), weights.repeat(len(kinds)), classes


def uar(classes: np.ndarray, predicted: np.ndarray) -> float:
    """Mean recall of the classes that occur."""
    return float(np.mean([(predicted[classes == each] == each).mean() for each in np.unique(classes)]))


def tested(head, part: Part, kind: str, groups: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """UAR of a head on clips standardized in one way, and what it answers; balanced over each of `groups` (N,)."""
    scores = head(torch.from_numpy(part.vectors[kind])).double().softmax(1).numpy()
    predicted = (scores if groups is None else balance_scores(scores, groups)).argmax(1)
    return uar(part.classes, predicted), predicted


def support_vectors(train: np.ndarray, classes: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Control: an SVM with radial basis (C = 10, classes balanced) on vectors standardized over the training part."""
    train, test = np.nan_to_num(train), np.nan_to_num(test)
    mean, std = train.mean(0), train.std(0) + 1e-6
    machine = SVC(C=10, class_weight="balanced").fit((train - mean) / std, classes)
    return machine.predict((test - mean) / std)


def folds_of(name: str, speakers: np.ndarray, folds: dict[str, list[list[str]]]) -> list[np.ndarray]:
    """Which of the clips of a dataset, by their speakers (N,), each fold tests."""
    own = sorted(set(speakers))
    if name in folds:
        groups = [[f"{name}/{actor}" for actor in actors] for actors in folds[name]]
    elif len(own) <= MOST_FOLDS:
        groups = [[speaker] for speaker in own]
    else:
        groups = [own[start::5] for start in range(5)]
    return [np.isin(speakers, group) for group in groups]


def drawn(classes: np.ndarray, fraction: float, draw: int) -> np.ndarray:
    """Rows of a fraction of the labels (N,) of each class, one at least."""
    rng = np.random.default_rng(draw)
    rows = [np.flatnonzero(classes == each) for each in np.unique(classes)]
    return np.concatenate([rng.permutation(own)[: max(1, round(fraction * len(own)))] for own in rows])
