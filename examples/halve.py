"""Write a checkpoint in half precision, as those in the package are.

python examples/halve.py RUNS/model RUNS/model-half
"""

import argparse

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


if __name__ == "__main__":
    main()
