"""The folder of a Hugging Face Space that runs the app."""

import os
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from huggingface_hub import SpaceCardData

from ..errors import InputError
from ..utils import require_writable, writing

TEXT = """
# Expressions in voice and face

Which emotion do a voice and a face in a clip express, and when? It is the expression shown in voice and face, not what
someone feels. Made with [av_emotion_hf](https://github.com/av-emotion-hf/av_emotion_hf).

Everyone who is recorded has to be told beforehand that a system recognizes emotions (EU AI Act, Article 50(3)), and
nobody may be judged by it at work or in education (Article 5). Clips are deleted after use, and nothing is stored.

The code is under Apache-2.0. Each checkpoint has a license of its own: that of the default one allows research only,
`av-emotion-base-mit` commercial use as well.
"""
APP = '''"""Expressions in voice and face, as a Hugging Face Space."""

import os

from av_emotion_hf.app.limits import Limits
from av_emotion_hf.app.server import serve

if __name__ == "__main__":  # worker processes import this file as well
    serve(
        host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"),
        port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        limits=Limits(megabytes=100, minutes=5),
        ready=print,
    )
'''
PYTHONS = ((3, 11), (3, 13))  # the first and the last one that the package is tested with


def write_space(folder: str | Path) -> list[str]:
    """Write the folder of a Space, whole or not at all.

    Args:
        folder: does not exist, or is empty.

    Returns:
        Names of the files.

    Raises:
        InputError: there is something in the folder, it cannot be written, or Gradio is not installed.
    """
    folder = Path(folder)
    require_writable(folder, is_folder=True)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; choose a new folder")
    files = _files()
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        try:
            for name, text in files.items():
                (partial / name).write_text(text, encoding="utf-8")
            partial.chmod(0o777 & ~_umask())
            if folder.is_dir():
                folder.rmdir()  # it is empty
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return sorted(files)


def _files() -> dict[str, str]:
    """The text of each file, by name."""
    try:
        gradio = version("gradio")
    except PackageNotFoundError as error:
        raise InputError(
            "a Space of the version that is installed needs Gradio: pip install 'av-emotion-hf[app]'"
        ) from error
    python = min(max(sys.version_info[:2], PYTHONS[0]), PYTHONS[1])
    data = SpaceCardData(
        title="Expressions in voice and face",
        sdk="gradio",
        sdk_version=gradio,
        python_version=".".join(map(str, python)),
        app_file="app.py",
        license="apache-2.0",
        tags=["emotion-recognition", "audio", "video"],
        colorFrom="blue",
        colorTo="gray",
        short_description="Which emotion a voice and a face express, and when",
    )
    return {
        "README.md": f"---\n{data.to_yaml()}\n---\n{TEXT}",
        "app.py": APP,
        "requirements.txt": f"av-emotion-hf[app]=={version('av-emotion-hf')}\n",
    }


def _umask() -> int:
    """What the permissions of new files lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


__all__ = ["write_space"]
