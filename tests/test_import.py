"""What importing the package does, and what it must not do."""

import os
import subprocess
import sys

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


def run(code):
    env = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_import_loads_nothing_and_asks_no_network():
    run(ALONE)


def test_import_after_transformers_registers_too():
    run(REVERSE)
