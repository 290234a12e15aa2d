"""Extracts in child processes, each killed for good just before its n-th rename, until one comes through.

killed_extraction.py CLIPS OUT N WORKERS [OUT N WORKERS ...]: prints how many were killed for each OUT
"""

import json
import os
import signal
import sys

from av_emotion_hf.data import ClipReader, open_dataset
from av_emotion_hf.data.extraction import extract


def die_before_rename(count):
    """Have this process, with its workers, killed instead of its `count`-th rename."""
    process, left = os.getpid(), count

    def dying(rename):
        def call(source, target):
            nonlocal left
            if os.getpid() == process:
                left -= 1
                if left == 0:
                    os.killpg(0, signal.SIGKILL)
            return rename(source, target)

        return call

    os.rename, os.replace = dying(os.rename), dying(os.replace)


def run(dataset, out, count, workers):
    """One attempt in a child process; its exit status, or minus the signal that ended it."""
    child = os.fork()
    if not child:
        os.setsid()
        die_before_rename(count)
        extract(dataset, out, ClipReader("audio"), rows_per_shard=4, workers=workers)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


clips, *attempts = sys.argv[1:]
dataset = open_dataset(clips)
kills = []
for out, count, workers in zip(attempts[::3], attempts[1::3], attempts[2::3], strict=True):
    kills.append(0)
    while (status := run(dataset, out, int(count), int(workers))) == -signal.SIGKILL and kills[-1] < 20:
        kills[-1] += 1
    assert status == 0, status
print(json.dumps(kills))
