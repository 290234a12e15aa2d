"""What a checkpoint needs on the Hub: a card, and the code that loads it."""

from .cards import card_for, check_card, render_card, write_card
from .remote_code import carry_remote_code, stage_remote_code

__all__ = ["card_for", "carry_remote_code", "check_card", "render_card", "stage_remote_code", "write_card"]
