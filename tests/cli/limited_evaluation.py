"""Runs the command line as usual; from the moment the answers are known no file can have more than a few bytes."""

import resource

from av_emotion_hf.cli import main
from av_emotion_hf.training import evaluation

count = evaluation.confusion_matrix


def last_chance(*args, **kwargs):
    """As the original."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
    return count(*args, **kwargs)


evaluation.confusion_matrix = last_chance
main()
