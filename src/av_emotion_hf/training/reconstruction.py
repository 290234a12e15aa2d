"""Does pre-training learn? The error on hidden frames, beside guesses that need no learning."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..data.dataset import AnyDataset
from ..models.masking_av_emotion import MaskedFrames, sample_gaps
from .reconstruction_baselines import BASELINES

SPANS = (1, 3, 7, 15)  # frames
FRACTION = 0.1  # of the frames of a clip that are hidden
SEED = 0  # any fixed number makes reports comparable


@torch.no_grad()
def reconstruction_report(
    model: Any,
    dataset: AnyDataset,
    collate: Callable,
    batch_size: int = 32,
    spans: tuple[int, ...] = SPANS,
) -> list[dict[str, int | float | None]]:
    """Errors on gaps of hidden frames, the same gaps for the model and for every baseline.

    Gaps have exactly their length and visible frames on both sides (see [`sample_gaps`]); they depend on the clips,
    their order and nothing else.

    Args:
        model: a pre-training model.
        dataset: rows of inputs or features.
        collate: makes batches of them, without masks.
        batch_size: clips per batch.
        spans: lengths of the gaps in frames.

    Returns:
        For each length: `span`, `hidden_frames`, and the mean squared distance, in squared standard deviations of the
        dataset, over the hidden values that mean something: of the `model` and of each of [`BASELINES`]; `None` where
        no clip is long enough.
    """
    model.eval()
    names = (*BASELINES, "model")
    generators = {span: torch.Generator().manual_seed(SEED) for span in spans}
    squares = {span: dict.fromkeys(names, 0.0) for span in spans}
    frames, cells = dict.fromkeys(spans, 0), dict.fromkeys(spans, 0)
    for batch in tqdm(DataLoader(dataset, batch_size=batch_size, collate_fn=collate), desc="Measuring hidden frames"):
        batch = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        features, frame_mask, cell_mask = model.complete_features(**batch)
        for span in spans:
            hidden = sample_gaps(frame_mask.cpu(), FRACTION, span, generators[span]).to(model.device)
            masked = MaskedFrames(features, frame_mask, cell_mask, hidden)
            counted = cell_mask & hidden.unsqueeze(-1)
            for name, guess in guess_hidden(model, masked).items():
                squares[span][name] += (guess.float() - features)[counted].double().pow(2).sum().item()
            frames[span] += int(hidden.sum())
            cells[span] += int(counted.sum())
    return [
        {"span": span, "hidden_frames": frames[span]}
        | {name: squares[span][name] / cells[span] if cells[span] else None for name in names}
        for span in spans
    ]


def guess_hidden(model: Any, masked: MaskedFrames) -> dict[str, torch.Tensor]:
    """What the baselines and the pre-training `model` predict of masked clips, each `(B, T, F)`."""
    known = masked.cell_mask & ~masked.hidden.unsqueeze(-1)
    mean = model.base_model.mean_features
    guesses = {name: baseline(masked.features, known, mean) for name, baseline in BASELINES.items()}
    return guesses | {"model": model.objective(model, masked)[1]}


def report_table(report: list[dict]) -> str:
    """The report as a table of text."""
    columns = ("corpus_mean", "nearest_visible", "interpolation", "model")
    lines = ["hidden frames in a row" + "".join(f"{name.replace('_', ' '):>18}" for name in columns)]
    for row in report:
        cells = ("-" if row[name] is None else f"{row[name]:.3f}" for name in columns)
        lines.append(f"{row['span']:>22}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


__all__ = ["SPANS", "guess_hidden", "reconstruction_report", "report_table"]
