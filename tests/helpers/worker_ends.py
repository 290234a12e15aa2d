"""Functions for worker processes that end in different ways."""

import os
import signal
import time

from av_emotion_hf.errors import InputError


def answer(item, progress):
    for done in range(4):
        progress(done, 4)
        time.sleep(0.3)
    return item * 2, os.getpid()


def crash(item, progress):
    os.kill(os.getpid(), signal.SIGSEGV)


def mistake(item, progress):
    raise InputError(f"{item}: is wrong")


def bug(item, progress):
    return 1 / 0


def hang(item, progress):
    with open(item, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
