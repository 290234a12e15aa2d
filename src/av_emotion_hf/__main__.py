"""`python -m av_emotion_hf VERB`, also for `accelerate launch -m av_emotion_hf VERB`."""

from .cli import main

main()
