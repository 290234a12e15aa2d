"""A linear head on a frozen model: the start of fine-tuning, since it does best with few labels.

A model that is fine-tuned whole on few labels first destroys what it knew before its new layer has learned anything
(Kumar et al. 2022). So the head comes first: multinomial logistic regression on the sentence-level vectors of the
frozen model, with the strength of its penalty chosen on validation groups.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..data.collators import ClipCollator
from ..data.draws import numbered_draws
from .metrics import confusion_matrix, unweighted_average_recall

logger = logging.getLogger(__name__)

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)  # weights of the squared norm, from the strongest
DEFAULT_PENALTY = 0.1  # without validation groups
ITERATIONS = 200  # of L-BFGS
SMALLEST_DEVIATION = 1e-6  # a value that varies less is constant


class LinearHead:
    """Weights of a fully connected layer.

    Attributes:
        weight: `(K, D)`.
        bias: `(K,)`.
    """

    def __init__(self, weight: Tensor, bias: Tensor):
        self.weight, self.bias = weight, bias

    def __call__(self, vectors: Tensor) -> Tensor:
        """Logits `(N, K)` of vectors `(N, D)`."""
        return F.linear(vectors, self.weight, self.bias)

    def copy_to(self, layer: nn.Linear) -> None:
        """Make it the weights of a layer."""
        with torch.no_grad():
            layer.weight.copy_(self.weight)
            layer.bias.copy_(self.bias)


def fit_linear_head(
    vectors: Tensor,
    targets: Tensor,
    penalty: float,
    row_weights: Tensor | None = None,
    start: LinearHead | None = None,
) -> LinearHead:
    """Multinomial logistic regression, by L-BFGS from zero; the same rows give the same head.

    Args:
        vectors: `(N, D)`; each value is standardized over the rows within.
        targets: class distributions `(N, K)`.
        penalty: weight of half the squared norm of the standardized weights beside the mean cross-entropy.
        row_weights: `(N,)`, how much each row counts; all the same when `None`.
        start: head to start from, which saves time where a similar one is known.
    """
    weights = torch.ones(len(vectors)) if row_weights is None else row_weights.float()
    weights = (weights / weights.sum()).unsqueeze(1)
    mean = (weights * vectors).sum(dim=0)
    std = (weights * (vectors - mean).square()).sum(dim=0).sqrt()
    std = torch.where(std > SMALLEST_DEVIATION, std, float("inf"))  # a constant gets no weight
    scaled, targets = (vectors - mean) / std, targets.float() * weights
    size = (targets.shape[1], vectors.shape[1])
    if start is None:
        weight, bias = torch.zeros(size), torch.zeros(size[0])
    else:
        weight = torch.where(std.isinf(), 0, start.weight * std)
        bias = start.bias + start.weight @ mean
    weight, bias = weight.requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        entropy = -(targets * F.linear(scaled, weight, bias).log_softmax(dim=1)).sum()
        value = entropy + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    weight = weight.detach() / std
    return LinearHead(weight, bias.detach() - weight @ mean)


def balanced_rows(targets: Tensor) -> Tensor:
    """Weights `(N,)` with which every class of `targets (N, K)` counts the same."""
    totals = targets.sum(dim=0)
    return (targets / torch.where(totals > 0, totals, 1)).sum(dim=1)


def choose_penalty(
    vectors: Tensor,
    targets: Tensor,
    row_weights: Tensor | None,
    validation: tuple[Tensor, Tensor],
    penalties: tuple[float, ...] = PENALTIES,
) -> tuple[LinearHead, dict[float, float]]:
    """The head of the penalty with the best UAR on validation rows, the strongest of equals.

    Args:
        vectors: `(N, D)` to learn from.
        targets: class distributions `(N, K)`.
        row_weights: see [`fit_linear_head`].
        validation: vectors `(M, D)` and classes `(M,)`.
        penalties: to choose from, from the strongest.

    Returns:
        The head, and the UAR of each penalty.
    """
    heads: dict[float, LinearHead] = {}
    scores: dict[float, float] = {}
    head = None
    for penalty in penalties:
        head = heads[penalty] = fit_linear_head(vectors, targets, penalty, row_weights, head)
        predicted = head(validation[0]).argmax(dim=1)
        confusion = confusion_matrix(validation[1].numpy(), predicted.numpy(), targets.shape[1])
        scores[penalty] = unweighted_average_recall(confusion)
    return heads[max(penalties, key=lambda penalty: scores[penalty])], scores


@torch.no_grad()
def sentence_vectors(
    model: PreTrainedModel,
    dataset: Dataset,
    collate: Callable[[list], dict[str, Any]],
    batch_size: int,
    shuffle: bool = False,
) -> tuple[Tensor, Tensor]:
    """What enters the classifier of a frozen model.

    Args:
        model: a classifier.
        dataset: rows with labels.
        collate: makes batches of them.
        batch_size: clips per batch.
        shuffle: draw which clips share a batch, for a `collate` that mixes them.

    Returns:
        Vectors `(N, D)` float32 and class distributions `(N, K)` of the rows in their order, on the CPU.
    """
    order = torch.randperm(len(dataset)) if shuffle else torch.arange(len(dataset))
    loader = DataLoader(dataset, batch_size=batch_size, sampler=order.tolist(), collate_fn=collate)
    was_training = model.training
    model.eval()
    vectors: list[Tensor] = []
    classifier: nn.Linear = model.get_submodule("classifier")  # type: ignore[assignment]
    hook = classifier.register_forward_pre_hook(lambda _, inputs: vectors.append(inputs[0].float().cpu()))
    targets = []
    try:
        for batch in tqdm(loader, desc="Frozen vectors"):
            labels = batch.pop("labels")
            targets.append(labels if labels.ndim == 2 else F.one_hot(labels, classifier.out_features).float())
            model(**{name: value.to(model.device) for name, value in batch.items()})
    finally:
        hook.remove()
        model.train(was_training)
    rows = order.argsort()
    return torch.cat(vectors)[rows], torch.cat(targets)[rows]


class HeadStart:
    """Makes the classifier of a model a linear head on the rest of it as it is, and remembers that beginning.

    Args:
        model: a classifier, which is changed.
        train: rows to learn from.
        validation: rows that choose the penalty; `DEFAULT_PENALTY` without.
        collate: makes batches.
        train_collator: makes other training batches, by chance; the head then learns from both.
        row_weights: `(N,)`, how much each row of `train` counts; every class the same when `None`.
        batch_size: clips per batch.
        seed: of what is drawn.

    Attributes:
        facts: for the record: `penalty`; with validation rows `uar`, what each penalty scored there; and after
            [`restore_if_better`] `kept`, whether the beginning was better than every epoch.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        train: Dataset,
        validation: Dataset | None,
        collate: ClipCollator,
        train_collator: Callable[[list], dict[str, Any]] | None = None,
        row_weights: Tensor | None = None,
        batch_size: int = 16,
        seed: int = 0,
    ):
        with numbered_draws(seed):
            vectors, targets = sentence_vectors(model, train, collate, batch_size)
            if row_weights is None:
                row_weights = balanced_rows(targets)
            if train_collator is not None:
                changed, mixed = sentence_vectors(model, train, train_collator, batch_size, shuffle=True)
                vectors, targets = torch.cat([vectors, changed]), torch.cat([targets, mixed])
                row_weights = torch.cat([row_weights, row_weights])
        self.uar = None
        self.facts: dict[str, Any] = {"penalty": DEFAULT_PENALTY}
        if validation is None:
            head = fit_linear_head(vectors, targets, DEFAULT_PENALTY, row_weights)
        else:
            held_out, classes = sentence_vectors(model, validation, collate, batch_size)
            head, scores = choose_penalty(vectors, targets, row_weights, (held_out, classes.argmax(dim=1)))
            self.uar = max(scores.values())
            self.facts = {
                "penalty": next(penalty for penalty, score in scores.items() if score == self.uar),
                "uar": {str(penalty): round(score, 4) for penalty, score in scores.items()},
            }
        head.copy_to(model.get_submodule("classifier"))  # type: ignore[arg-type]  # a linear layer
        logger.info("linear head on the frozen model: %s", self.facts)
        self.model = model
        self.weights = {
            name: parameter.detach().cpu().clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    def restore_if_better(self, uar: float | None) -> None:
        """Bring the beginning back, unless training has reached a better UAR on the validation rows."""
        if self.uar is None:
            return
        self.facts["kept"] = uar is None or uar <= self.uar
        if self.facts["kept"]:
            self.model.load_state_dict(self.weights, strict=False)


__all__ = [
    "PENALTIES",
    "HeadStart",
    "LinearHead",
    "balanced_rows",
    "choose_penalty",
    "fit_linear_head",
    "sentence_vectors",
]
