"""What importing the package does, and what it must not do."""

import importlib
import os
import pkgutil
import subprocess
import sys

import pytest

import av_emotion_hf
from av_emotion_hf import deprecated

ALONE = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("a connection was tried")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
import av_emotion_hf
loaded = {"torch", "transformers", "numpy", "datasets", "av", "cv2"} & set(sys.modules)
assert not loaded, loaded
from transformers import AutoConfig, AutoModel, pipeline
from transformers.pipelines import PIPELINE_REGISTRY
assert "audio-visual-emotion-recognition" in PIPELINE_REGISTRY.get_supported_tasks()
assert AutoConfig.for_model("av_emotion").model_type == "av_emotion"
assert av_emotion_hf.AVEmotionModel.__name__ == "AVEmotionModel"
"""
REVERSE = """
from transformers import AutoConfig, AutoModel, pipeline
from transformers.pipelines import PIPELINE_REGISTRY
import av_emotion_hf
assert "audio-visual-emotion-recognition" in PIPELINE_REGISTRY.get_supported_tasks()
assert AutoConfig.for_model("av_emotion_audio").model_type == "av_emotion_audio"
"""


HELP = """
import sys
from typer.testing import CliRunner
from av_emotion_hf import cli

commands = "predict", "extract", "train-expression", "pretrain", "finetune", "evaluate", "benchmark", "push"
for command in ("--help", *commands, "app", "space"):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0, result.output
loaded = {"torch", "transformers", "numpy", "datasets", "evaluate"} & set(sys.modules)
assert not loaded, loaded
"""


def run(code):
    env = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_import_loads_nothing_and_asks_no_network():
    run(ALONE)


@pytest.mark.slow
def test_import_after_transformers_registers_too():
    run(REVERSE)


def test_help_loads_no_heavy_library():
    run(HELP)


@pytest.mark.parametrize("package", ["av_emotion_hf", "av_emotion_hf.training"])
def test_public_names_are_there_and_stay_what_they_are(package):
    """A module that is imported later becomes an attribute of its folder, and must not take another name there."""
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    before = {name: getattr(module, name) for name in module.__all__}
    modules = {each.name for each in pkgutil.iter_modules(module.__path__)}
    assert not modules & set(module.__all__)
    for name in modules - {"__main__"}:
        importlib.import_module(f"{package}.{name}")
    assert all(getattr(module, name) is value for name, value in before.items())


def test_recipes_at_the_root_are_functions_whatever_was_imported():
    for old in ("training.pretrain", "training.finetune", "training.evaluation", "data.extraction", "hub.push"):
        if old in deprecated.MOVED:
            sys.modules.pop(f"av_emotion_hf.{old}", None)  # another test may have imported it
            with pytest.warns(DeprecationWarning, match="has moved to"):
                moved = importlib.import_module(f"av_emotion_hf.{old}")
            assert moved is importlib.import_module(f"av_emotion_hf.{deprecated.MOVED[old]}")
        else:
            importlib.import_module(f"av_emotion_hf.{old}")
    for name in ("pretrain", "finetune", "train_expression", "evaluate", "extract", "push"):
        assert callable(getattr(av_emotion_hf, name)), name
    old = {name.removeprefix("training.") for name in deprecated.MOVED}
    assert not old & set(importlib.import_module("av_emotion_hf.training").__all__)
