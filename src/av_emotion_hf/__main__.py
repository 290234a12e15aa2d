"""`python -m av_emotion_hf COMMAND`, also for `accelerate launch -m av_emotion_hf COMMAND`."""

from .cli import main

main()
