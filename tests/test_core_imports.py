"""What a checkpoint on the Hub carries has to run where only torch and transformers are."""

import sys
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports, get_relative_imports

import av_emotion_hf

CORE = sorted(Path(av_emotion_hf.__file__).parent.glob("*_av_emotion.py"))
ALLOWED = {"torch", "numpy", "transformers", "huggingface_hub", "timm"} | set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_core_file_imports_only_what_travels_with_it(path):
    found = {name.split(".")[0] for name in get_imports(path)}
    assert found <= ALLOWED - {"timm"}
    assert {f"{name}.py" for name in get_relative_imports(path)} <= {core.name for core in CORE}


def test_the_core_is_there():
    assert {path.stem for path in CORE} >= {"configuration_av_emotion", "modeling_av_emotion", "frontend_av_emotion"}
