"""Print the lowest version of each direct dependency that the package allows, as pip accepts them.

Torch and torchaudio are not among them: torch is 5 GB a version, and torchaudio allows one version only.
"""

import re
import tomllib
from pathlib import Path

SKIPPED = ("torch", "torchaudio")
EXTRAS = ("onnx", "tensorboard", "timm")


def lowest() -> list[str]:
    """`["transformers==5.21", ...]`, from the dependencies and the extras in `pyproject.toml`."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["dependencies"] + [
        requirement for extra in EXTRAS for requirement in project["optional-dependencies"][extra]
    ]
    bounds = (re.match(r"([\w-]+)>=([\d.]+)", requirement).groups() for requirement in requirements)
    return [f"{name}=={bound}" for name, bound in bounds if name not in SKIPPED]


if __name__ == "__main__":
    print(*lowest())
