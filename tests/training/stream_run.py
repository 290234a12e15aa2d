"""Runs the command line as usual, and notes beside it which rows every batch was made of.

stream_run.py NOTES ARGUMENTS... (started by torchrun)

With STOP_BEFORE=checkpoint-12 the process that is about to give a folder this name makes the file NOTES.stopped and
waits to be killed.
"""

import json
import os
import sys
import threading
from pathlib import Path

import torch

from av_emotion_hf.cli import main
from av_emotion_hf.training.trainer import NumberedCollator

name = sys.argv.pop(1)
notes = open(f"{name}.{os.environ['RANK']}", "a", buffering=1)
make = NumberedCollator.make


def noting(self, number, rows):
    notes.write(json.dumps([number, [int(row["input_features"][0, 0]) for row in rows]]) + "\n")
    return make(self, number, rows)


def stopping(move):
    def moving(source, target, **kwargs):
        if Path(target).name == os.environ["STOP_BEFORE"]:
            Path(f"{name}.stopped").touch()
            threading.Event().wait()
        return move(source, target, **kwargs)

    return moving


NumberedCollator.make = noting
if "STOP_BEFORE" in os.environ:
    os.rename, os.replace = stopping(os.rename), stopping(os.replace)
torch.set_num_threads(1)
main()
