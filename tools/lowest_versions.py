"""Prints the lowest versions of the Hub's libraries that the package allows, as pip takes them."""

import re
import tomllib
from pathlib import Path

LIBRARIES = ("transformers", "huggingface-hub")


def lowest() -> list[str]:
    """`["transformers==5.21", ...]`, from the dependencies in `pyproject.toml`."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = dict(re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in project["dependencies"] if ">=" in line)
    return [f"{name}=={found[name]}" for name in LIBRARIES]


if __name__ == "__main__":
    print(*lowest())
