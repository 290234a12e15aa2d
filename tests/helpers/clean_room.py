"""A Python environment that has torch and transformers and what these require; neither this package nor more.

Beside these the modules of this folder can be imported.
"""

import functools
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

HAS = ("torch", "transformers", "pillow")  # an image processor needs Pillow


@functools.cache
def _entries(names: tuple[str, ...]) -> dict[str, Path]:
    """What stands in site-packages of these distributions and of all that they require."""
    open_names, seen, entries = list(names), set(), {}
    while open_names:
        try:
            found = distribution(open_names.pop())
        except PackageNotFoundError:  # required on other platforms
            continue
        if found.name in seen:
            continue
        seen.add(found.name)
        for file in found.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                entries[top] = Path(found.locate_file(top))
        for line in found.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                open_names.append(requirement.name)
    return entries


def run_clean(code: str, folder: Path, *more: str, **env: str) -> str:
    """Run code where only `HAS` and the distributions in `more` are installed; gives what it prints.

    Args:
        code: the program.
        folder: an empty or reused folder for the environment and its caches.
        *more: further distributions.
        **env: further environment variables.
    """
    site = folder / "site"
    if not site.is_dir():
        site.mkdir(parents=True)
        for name, target in _entries(HAS + more).items():
            (site / name).symlink_to(target)
    # without `site` the real site-packages are not on the path
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_"))}
        | {
            "PYTHONPATH": f"{site}{os.pathsep}{Path(__file__).parents[1]}",
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        | env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
