"""An expression recognizer as two parts: features of single faces, and a linear layer on them; and labeled faces."""

from dataclasses import dataclass

import numpy as np
import torch
from datasets import ClassLabel, Image
from torch import nn
from transformers import AutoModel, AutoModelForImageClassification

from av_emotion_hf import InputError, build_model, open_dataset

# what the voices call the classes, by other names for them; contempt is none of theirs
NAMES = {
    "anger": "angry",
    "disgusted": "disgust",
    "fear": "fearful",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}
LEFT_OUT = ("contempt",)
BATCH_SIZE = 128
FIELDS = 4  # into which a layer is divided in each direction


@dataclass
class Faces:
    """Labeled faces.

    Attributes:
        pictures: `(H, W, 3)` uint8 each.
        labels: class of each, under the names of the voices.
    """

    pictures: list[np.ndarray]
    labels: np.ndarray

    @classmethod
    def read(cls, dataset: str, split: str, most: int | None = None) -> "Faces":
        """The faces of a dataset with the columns `image` and `emotion`; those without an emotion are left out.

        Args:
            dataset: folder or Hub name.
            split: of it.
            most: as many are drawn where there are more.
        """
        rows = open_dataset(dataset, split)
        feature = rows.features["emotion"]
        names = [feature.names[each] if isinstance(feature, ClassLabel) else each for each in rows["emotion"]]
        labels = np.array([NAMES.get(name, name) or "" for name in names])
        chosen = np.flatnonzero(~np.isin(labels, ("", *LEFT_OUT)))
        if most is not None:
            chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:most])
        images = rows.select(chosen).cast_column("image", Image(decode=True))["image"]
        return cls([np.asarray(image.convert("RGB")) for image in images], labels[chosen])


class ExpressionNetwork:
    """What `train-expression` made, on pictures and on the frames of clips alike.

    Args:
        folder: of the recognizer.

    Attributes:
        bundle: image model with the network as its backbone; the rest of it is not used.
        labels: its classes, under the names of the voices, without those that these lack.
        weight: of the linear layer `(K, F)`.
        bias: `(K,)`.
    """

    def __init__(self, folder: str):
        recognizer = AutoModelForImageClassification.from_pretrained(folder)
        layer = [module for module in recognizer.modules() if isinstance(module, nn.Linear)][-1]
        names = [recognizer.config.id2label[row] for row in range(recognizer.config.num_labels)]
        rows = [row for row, name in enumerate(names) if name not in LEFT_OUT]
        self.labels = [NAMES.get(names[row], names[row]) for row in rows]
        self.weight, self.bias = layer.weight.detach().numpy()[rows], layer.bias.detach().numpy()[rows]
        self.bundle = build_model("classification", "image", [folder], self.labels)
        self.bundle.model.eval()

    @property
    def backbone(self) -> nn.Module:
        """The network without its linear layer."""
        return self.bundle.model.get_submodule("image_encoder.backbone")

    def features(self, pictures: list[np.ndarray]) -> np.ndarray:
        """What the linear layer reads `(N, F)` of pictures `(H, W, 3)` uint8."""
        return self.layers(pictures, ())[0]

    @torch.no_grad()
    def layers(self, pictures: list, depths: tuple[float, ...]) -> list[np.ndarray]:
        """The features `(N, F)`, and the layers at depths from 0 to 1, averaged over 4 x 4 fields `(N, 16 channels)`.

        A layer of fewer fields is taken as it is.
        """
        found: list[list[torch.Tensor]] = [[] for _ in (None, *depths)]
        for start in range(0, len(pictures), BATCH_SIZE):
            clip = self.bundle.image_processor([pictures[start : start + BATCH_SIZE]], return_tensors="pt")
            output = self.backbone(clip.pixel_values[0], output_hidden_states=bool(depths))
            found[0].append(output.pooler_output.flatten(1))
            for each, depth in zip(found[1:], depths, strict=True):
                layer = output.hidden_states[round(depth * (len(output.hidden_states) - 1))]
                each.append(nn.functional.adaptive_avg_pool2d(layer, min(FIELDS, layer.shape[-1])).flatten(1))
        return [torch.cat(each).numpy() for each in found]

    def randomize(self) -> None:
        """Give the network random weights, the same ones every time."""
        torch.manual_seed(0)
        self.backbone.load_state_dict(AutoModel.from_config(self.backbone.config).state_dict())

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Logits `(..., K)` of features `(..., F)`."""
        return features @ self.weight.T + self.bias

    def classes(self, labels: np.ndarray) -> np.ndarray:
        """The class `(N,)` of each label.

        Raises:
            InputError: the network does not know one.
        """
        unknown = sorted(set(labels.tolist()) - set(self.labels))
        if unknown:
            known = ", ".join(self.labels)
            raise InputError(f"faces of {unknown[0]!r}, which the network does not know; it knows {known}")
        return np.array([self.labels.index(label) for label in labels])
