"""Turn torchvision's file of a MobileNetV2 trained on ImageNet into a folder for `train-expression --init`.

    python examples/imagenet_start.py mobilenet_v2-b0353104.pth imagenet/mobilenet_v2
    av-emotion train-expression faces --init imagenet/mobilenet_v2 --out runs/expression

It needs torchvision, whose network is what the converted one is compared with. The file is the one that
`torchvision.models.mobilenet_v2(weights="IMAGENET1K_V1")` downloads, wherever a copy of it comes from: its name ends
in the first digits of its SHA-256, which are checked.
"""

import argparse
import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

WEIGHTS = MobileNet_V2_Weights.IMAGENET1K_V1
SIDES = (48, 64, 96, 112, 224)  # pixels of the pictures on which both networks have to agree
TOLERANCE = 1e-4  # of logits, whose deviation is about 2
CARD = """\
---
license: bsd-3-clause
library_name: transformers
pipeline_tag: image-classification
---
# MobileNetV2 of ImageNet

The MobileNetV2 of torchvision (Sandler et al. 2018), trained on ImageNet-1k, in the layout of transformers. It was
made by `examples/imagenet_start.py` of `av_emotion_hf`, as a start for `av-emotion train-expression --init`.

- Source: {url} (SHA-256 `{digest}`)
- License: that of torchvision, BSD-3-Clause, Copyright (c) Soumith Chintala 2016. The terms of ImageNet's pictures
  may limit the use of the weights.
- On random pictures of {sides} pixels its logits differ from those of torchvision's network by {error:g} at most.
"""


def layer_names() -> dict[str, str]:
    """What transformers calls each layer, by what torchvision calls it."""
    layers = {  # convolution and normalization in torchvision
        "conv_stem.first_conv": ("0.0", "0.1"),
        "conv_stem.conv_3x3": ("1.conv.0.0", "1.conv.0.1"),
        "conv_stem.reduce_1x1": ("1.conv.1", "1.conv.2"),
        "conv_1x1": ("18.0", "18.1"),
    }
    for block in range(2, 18):
        name = f"layer.{block - 2}"
        layers[f"{name}.expand_1x1"] = (f"{block}.conv.0.0", f"{block}.conv.0.1")
        layers[f"{name}.conv_3x3"] = (f"{block}.conv.1.0", f"{block}.conv.1.1")
        layers[f"{name}.reduce_1x1"] = (f"{block}.conv.2", f"{block}.conv.3")
    names = {"classifier.1": "classifier"}
    for layer, (convolution, normalization) in layers.items():
        names[f"features.{convolution}"] = f"mobilenet_v2.{layer}.convolution"
        names[f"features.{normalization}"] = f"mobilenet_v2.{layer}.normalization"
    return names


def convert(weights: dict[str, Tensor]) -> MobileNetV2ForImageClassification:
    """The network of transformers with the weights of torchvision's."""
    config = MobileNetV2Config(
        tf_padding=False,
        layer_norm_eps=1e-5,
        classifier_dropout_prob=0.2,
        id2label=dict(enumerate(WEIGHTS.meta["categories"])),
        label2id={name: index for index, name in enumerate(WEIGHTS.meta["categories"])},
    )
    model = MobileNetV2ForImageClassification(config)
    names = layer_names()
    parts = {name: name.rpartition(".") for name in weights}
    model.load_state_dict({f"{names[layer]}.{kind}": weights[name] for name, (layer, _, kind) in parts.items()})
    return model.eval()


@torch.no_grad()
def largest_error(model: nn.Module, reference: nn.Module) -> float:
    """Largest difference of the logits for random pictures of each of `SIDES`."""
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.randn(2, 3, side, side, generator=generator) for side in SIDES]
    return max(float((model(picture).logits - reference(picture)).abs().max()) for picture in pictures)


def main() -> None:
    """Convert, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    digest = hashlib.sha256(args.weights.read_bytes()).hexdigest()
    if not digest.startswith(args.weights.stem.rpartition("-")[2]):
        parser.error(f"{args.weights}: its SHA-256 begins with {digest[:8]}, not as its name says; download it again")
    weights = torch.load(args.weights, weights_only=True)
    reference = mobilenet_v2().eval()
    reference.load_state_dict(weights)
    model = convert(weights)
    error = largest_error(model, reference)
    if not error < TOLERANCE:
        parser.error(f"{args.weights}: the logits differ from those of torchvision by {error}; nothing is written")
    model.save_pretrained(args.out)
    sides = ", ".join(map(str, SIDES))
    card = CARD.format(url=WEIGHTS.url, digest=digest, sides=sides, error=error)
    (args.out / "README.md").write_text(card, encoding="utf-8")
    print(f"{args.out}: {model.num_parameters() / 1e6:.2f} million parameters, logits differ by {error:g} at most")


if __name__ == "__main__":
    main()
