"""Combination: a voice model and a face model to one of both, by late fusion and without training.

Late fusion combines the class distributions of both (CN107609572), so neither has to learn again. Labeled clips, if
there are any, only make the scores as high as they are often right.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from ..checkpoints import ModelBundle, build_model, load_classifier, locate_checkpoint
from ..data.collators import ClipCollator
from ..data.dataset import AnyDataset
from ..data.labels import read_labeled
from ..data.reader import ClipReader, ReaderOptions
from ..devices import choose_device
from ..errors import InputError
from ..hub import write_card
from ..utils import require_writable, writing
from .calibration import calibrate_fusion
from .linear_head import head_layers
from .record import RunRecord, checkpoint_names

logger = logging.getLogger(__name__)


def combine(
    voice: str,
    face: str,
    out: str,
    *,
    late_rule: str = "product",
    temperatures: dict[str, float] | None = None,
    calibration: AnyDataset | None = None,
    label_column: str = "emotion",
    batch_size: int = 16,
    reader_options: ReaderOptions | None = None,
    device: str = "auto",
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Make a fusion classifier of an audio and an image classifier, and save it with its processor and a model card.

    Clips with a voice alone, or a face alone, are answered as the two models answer them. Of different classes those
    remain that both know; the others are logged.

    Args:
        voice: folder, Hub name, or name of a checkpoint in this package, of an audio classifier.
        face: the same of an image classifier.
        out: folder to write.
        late_rule: `product` or `mean` of the two distributions.
        temperatures: `audio`, `image` and `both`, where they are known already, see [`AVEmotionConfig`].
        calibration: labeled clips, inputs or features of people that neither model has learned from; they fit the
            temperatures, see [`calibrate_fusion`]. `None` for scores as the two models give them.
        label_column: of these clips.
        batch_size: of these clips.
        reader_options: how these clips are read.
        device: where they are scored.
        metadata: where the clips come from, for the record.

    Returns:
        The record, as written to `run.json`.

    Raises:
        InputError: there are temperatures and clips to fit them; a checkpoint is missing or of another kind, they have
            fewer than two classes in common, a clip has a class that is not among them, no clip has both a voice and
            a face, or `out` cannot be written.
    """
    if temperatures and calibration is not None:
        raise InputError(f"temperatures {temperatures}: calibration clips would replace them; give one of the two")
    require_writable(out, is_folder=True)
    choice = choose_device(device)
    parts = {"audio": _loaded(voice, "audio"), "image": _loaded(face, "image")}
    labels = _common_classes({"audio": voice, "image": face}, parts)
    overrides = {"fusion": "late", "late_rule": late_rule, "temperatures": temperatures}
    made = build_model("classification", "fusion", [parts["audio"][0], parts["image"][0]], labels, overrides)
    made.image_processor = parts["image"][1].image_processor
    for name, layer in head_layers(made.model).items():
        _copy_head(parts[name][1].model, layer, labels)
    made.model.eval()
    record = RunRecord(
        "combine",
        {"out": out, "late_rule": late_rule},
        modality="fusion",
        init=checkpoint_names([voice, face]),
        labels=labels,
        label_column=label_column,
        temperatures=temperatures,
        **(metadata or {}),
    )
    if calibration is not None:
        made.model.to(choice.device)  # type: ignore[arg-type]  # the stub of transformers loses `self`
        with choice.limited_threads():
            record.facts["calibration"] = _calibrate(
                made, calibration, label_column, labels, batch_size, reader_options
            )
    record.complete(made.model, {}, [], 0, choice.device, 1)
    with writing(out, result=record.facts):
        made.model.save_pretrained(out)
        made.processor("fusion").save_pretrained(out)
        record.write()
        write_card(out)
    return record.facts


def _loaded(checkpoint: str, modality: str) -> tuple[str, ModelBundle]:
    """Where a classifier of this modality is, and the classifier.

    Raises:
        InputError: it is of another modality.
    """
    place = locate_checkpoint(checkpoint)
    found, bundle = load_classifier(place)
    if found != modality:
        wanted = {"audio": "voice (audio)", "image": "face (image)"}[modality]
        raise InputError(
            f"{checkpoint}: is a classifier of the kind {found!r}, and a {wanted} classifier is needed; "
            "give the voice first, then the face"
        )
    return place, bundle


def _common_classes(names: dict[str, str], parts: dict[str, tuple[str, ModelBundle]]) -> list[str]:
    """The classes that both models know, in the order of the first.

    Raises:
        InputError: there are fewer than two.
    """
    classes: dict[str, list[str]] = {
        part: list(bundle.model.config.label2id or ()) for part, (_, bundle) in parts.items()
    }
    common = [label for label in classes["audio"] if label in classes["image"]]
    if len(common) < 2:
        raise InputError(
            f"{names['audio']} knows {', '.join(classes['audio'])} and {names['image']} "
            f"{', '.join(classes['image'])}: two classes at least have to be in both; rename classes "
            "(id2label in config.json) or train one of them with the classes of the other"
        )
    for part, own in classes.items():
        left_out = [label for label in own if label not in common]
        if left_out:
            logger.warning("left out %s, which only %s knows", ", ".join(left_out), Path(names[part]).name)
    return common


@torch.no_grad()
def _copy_head(model: Any, layer: nn.Linear, labels: list[str]) -> None:
    """Make the classifier of a model that of one modality, with these classes."""
    rows = [model.config.label2id[label] for label in labels]
    layer.weight.copy_(model.classifier.weight[rows])
    layer.bias.copy_(model.classifier.bias[rows])


def _calibrate(
    made: ModelBundle,
    dataset: AnyDataset,
    label_column: str,
    labels: list[str],
    batch_size: int,
    reader_options: ReaderOptions | None,
) -> dict[str, Any]:
    """Fit the temperatures on labeled clips; the facts for the record.

    Raises:
        InputError: no clip has a voice and a face.
    """
    rows = read_labeled(dataset, label_column, labels, ClipReader("both", reader_options), part="calibration")
    collate = ClipCollator("fusion", made.feature_extractor, made.image_processor, made.feature_sizes)
    model: Any = made.model
    found = calibrate_fusion(model, list(DataLoader(rows, batch_size=batch_size, collate_fn=collate)))
    if "both" not in found:
        raise InputError("no clip of the calibration has both a voice and a face; give other clips, or none")
    return found


__all__ = ["combine"]
