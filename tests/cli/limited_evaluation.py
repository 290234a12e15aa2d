"""Runs the command line as usual; from the moment the scores are known no file can have more than a few bytes."""

import resource

from av_emotion_hf.cli import main
from av_emotion_hf.training.metrics import EmotionScores

compute = EmotionScores.compute


def last_chance(self, **kwargs):
    """As the original; the library adds to this text."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
    return compute(self, **kwargs)


EmotionScores.compute = last_chance
main()
