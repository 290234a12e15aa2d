"""What a checkpoint needs to be at home on the Hub."""

from .cards import card_for, check_card, render_card, write_card

__all__ = ["card_for", "check_card", "render_card", "write_card"]
