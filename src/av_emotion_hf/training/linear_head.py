"""A linear head on a frozen model: the start of fine-tuning, since it does best with few labels.

A model that is fine-tuned whole on few labels first destroys what it knew before its new layer has learned anything
(Kumar et al. 2022). So the head comes first: multinomial logistic regression on the sentence-level vectors of the
frozen model, with the strength of its penalty chosen on validation groups.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
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
from ..errors import InputError
from ..models.fusion_av_emotion import LateFusion
from .metrics import confusion_matrix, unweighted_average_recall

logger = logging.getLogger(__name__)

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01)  # weights of the squared norm, from the strongest
DEFAULT_PENALTY = 0.1  # without validation groups
ITERATIONS = 200  # of L-BFGS
MASKS = {"audio": "attention_mask", "image": "pixel_mask"}  # of what the layers of late fusion read
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


@dataclass
class SentenceVectors:
    """What enters the classifier of a frozen model; with late fusion each of its two layers.

    Attributes:
        vectors: by name of the layer, `(N, D)` float32 on the CPU.
        present: by name of the layer, which of the rows `(N,)` have the modality that it reads.
        targets: class distributions `(N, K)`.
    """

    vectors: dict[str, Tensor]
    present: dict[str, Tensor]
    targets: Tensor

    def beside(self, others: "SentenceVectors") -> "SentenceVectors":
        """These rows and then the others."""
        vectors, present = (
            {name: torch.cat([own[name], more[name]]) for name in own}
            for own, more in ((self.vectors, others.vectors), (self.present, others.present))
        )
        return SentenceVectors(vectors, present, torch.cat([self.targets, others.targets]))


def head_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The fully connected layers that decide, by name: one, or with late fusion one for each modality."""
    classifier: Any = model.get_submodule("classifier")
    if isinstance(classifier, LateFusion):
        return {"audio": classifier.audio, "image": classifier.image}
    return {"classifier": classifier}


@torch.no_grad()
def sentence_vectors(
    model: PreTrainedModel,
    dataset: Dataset,
    collate: Callable[[list], dict[str, Any]],
    batch_size: int,
    shuffle: bool = False,
) -> SentenceVectors:
    """What enters the classifier of a frozen model, of the rows in their order.

    Args:
        model: a classifier.
        dataset: rows with labels.
        collate: makes batches of them.
        batch_size: clips per batch.
        shuffle: draw which clips share a batch, for a `collate` that mixes them.
    """
    order = torch.randperm(len(dataset)) if shuffle else torch.arange(len(dataset))
    loader = DataLoader(dataset, batch_size=batch_size, sampler=order.tolist(), collate_fn=collate)
    was_training = model.training
    model.eval()
    layers = head_layers(model)
    num_labels = next(iter(layers.values())).out_features
    vectors: dict[str, list[Tensor]] = {name: [] for name in layers}
    present: dict[str, list[Tensor]] = {name: [] for name in layers}

    def keep(name: str) -> Callable[..., None]:
        return lambda _, inputs: vectors[name].append(inputs[0].float().cpu())

    hooks = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    targets = []
    try:
        for batch in tqdm(loader, desc="Frozen vectors"):
            labels = batch.pop("labels")
            targets.append(labels if labels.ndim == 2 else F.one_hot(labels, num_labels).float())
            for name, known in present.items():
                mask = batch.get(MASKS[name]) if name in MASKS else None
                known.append(torch.full((len(labels),), name not in MASKS) if mask is None else mask.any(dim=1).cpu())
            model(**{name: value.to(model.device) for name, value in batch.items()})
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    rows = order.argsort()
    found, has = ({name: torch.cat(own)[rows] for name, own in each.items()} for each in (vectors, present))
    return SentenceVectors(found, has, torch.cat(targets)[rows])


class HeadStart:
    """Makes the classifier of a model a linear head on the rest of it as it is, and remembers that beginning.

    With late fusion, each of its two layers becomes one, and learns from the rows that have its modality.

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
        uar: of the model on the validation rows at this beginning; `None` without them.
        facts: for the record: `penalty`; with validation rows `uar`, what each penalty scored there; with late fusion
            both of `audio` and `image`; and after [`restore_if_better`] `kept`, whether the beginning was better than
            every epoch.
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
            rows = sentence_vectors(model, train, collate, batch_size)
            if train_collator is not None:
                rows = rows.beside(sentence_vectors(model, train, train_collator, batch_size, shuffle=True))
                row_weights = None if row_weights is None else torch.cat([row_weights, row_weights])
        held_out = None if validation is None else sentence_vectors(model, validation, collate, batch_size)
        facts = {}
        for name, layer in head_layers(model).items():
            head, facts[name] = _fitted(name, rows, row_weights, held_out)
            head.copy_to(layer)
        self.facts: dict[str, Any] = facts.get("classifier", facts)
        self.uar = None if held_out is None else _validation_uar(model, held_out)
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


def _fitted(
    name: str, rows: SentenceVectors, row_weights: Tensor | None, held_out: SentenceVectors | None
) -> tuple[LinearHead, dict[str, Any]]:
    """The linear head for one layer, and its facts for the record.

    Raises:
        InputError: no row has what the layer reads.
    """
    present = rows.present[name]
    if not present.any():
        raise InputError(f"no training clip has {'audio' if name == 'audio' else 'a face'}; late fusion needs both")
    vectors, targets = rows.vectors[name][present], rows.targets[present]
    weights = balanced_rows(targets) if row_weights is None else row_weights[present]
    if held_out is None or not held_out.present[name].any():
        return fit_linear_head(vectors, targets, DEFAULT_PENALTY, weights), {"penalty": DEFAULT_PENALTY}
    chosen = held_out.present[name]
    validation = held_out.vectors[name][chosen], held_out.targets[chosen].argmax(dim=1)
    head, scores = choose_penalty(vectors, targets, weights, validation)
    best = max(scores.values())
    return head, {
        "penalty": next(penalty for penalty, score in scores.items() if score == best),
        "uar": {str(penalty): round(score, 4) for penalty, score in scores.items()},
    }


@torch.no_grad()
def _validation_uar(model: PreTrainedModel, rows: SentenceVectors) -> float:
    """UAR of the classifier of a model on validation rows."""
    layers = head_layers(model)
    logits = [F.linear(rows.vectors[name], *_weights(layer)) for name, layer in layers.items()]
    answers = logits[0]
    if len(layers) > 1:
        late: Any = model.get_submodule("classifier")
        answers, _ = late.combine(torch.stack(logits, dim=1), torch.stack(list(rows.present.values()), dim=1))
    confusion = confusion_matrix(
        rows.targets.argmax(dim=1).numpy(), answers.argmax(dim=1).numpy(), rows.targets.shape[1]
    )
    return unweighted_average_recall(confusion)


def _weights(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    return layer.weight.float().cpu(), layer.bias.float().cpu()


__all__ = [
    "PENALTIES",
    "HeadStart",
    "LinearHead",
    "SentenceVectors",
    "balanced_rows",
    "choose_penalty",
    "fit_linear_head",
    "head_layers",
    "sentence_vectors",
]
