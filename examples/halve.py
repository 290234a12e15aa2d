"""Write a checkpoint in half precision, as those in the package are. It is loaded, and computes, in single precision.

python examples/halve.py RUNS/model RUNS/model-half
"""

import argparse
from pathlib import Path

import torch

from av_emotion_hf import load_classifier


def main() -> None:
    """Save the model in float16, and what prepares its inputs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    args = parser.parse_args()
    modality, bundle = load_classifier(args.source)
    type(bundle.model).from_pretrained(args.source, dtype=torch.float16).save_pretrained(args.target)
    bundle.processor(modality).save_pretrained(args.target)
    config = Path(args.target, "config.json")
    text = config.read_text(encoding="utf-8").replace('"dtype": "float16"', '"dtype": "float32"')
    config.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
