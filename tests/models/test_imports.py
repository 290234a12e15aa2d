"""What a checkpoint on the Hub carries has to run where only torch and transformers are."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports

from av_emotion_hf import models

FILES = sorted(Path(models.__file__).parent.glob("*.py"))
NAMES = {path.stem for path in FILES}
ALLOWED = {"torch", "numpy", "transformers", "huggingface_hub"} | set(sys.stdlib_module_names)
# readers, and timm, of whoever loads a checkpoint without this package
OPTIONAL = {"PIL", "av", "soundfile", "timm", "torchaudio"}


def imported(path):
    """Level and name of every import of a file, those in functions and `try` blocks included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_file_of_models_imports_a_room_above_it(path):
    for level, name in imported(path):
        if level:
            assert level == 1 and name in NAMES, f"{path.name} imports {'.' * level}{name}"
        else:
            assert name.split(".")[0] in ALLOWED | OPTIONAL, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_optional_is_imported_in_try_blocks(path):
    assert {name.split(".")[0] for name in get_imports(path)} <= ALLOWED  # it leaves out what a `try` block imports


def test_the_folder_is_flat_and_its_files_carry_the_suffix():
    folder = Path(models.__file__).parent
    assert not [path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert all(name.endswith("_av_emotion") for name in NAMES - {"__init__"})
    assert NAMES >= {"configuration_av_emotion", "modeling_av_emotion", "frontend_av_emotion"}


@pytest.mark.parametrize("path", [path for path in FILES if path.stem[:8] != "modeling"], ids=lambda path: path.stem)
def test_no_file_beside_the_models_imports_an_auto_class_at_its_top(path):
    """Loading these registers the models, which would import a file that is not complete yet."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module == "transformers":
            assert not [alias.name for alias in node.names if alias.name.startswith("Auto")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["training.trainer", "models.speech_backbone_av_emotion"])
def test_any_module_may_come_first(name):
    subprocess.run([sys.executable, "-c", f"import av_emotion_hf.{name}"], check=True)
